"""Note the signature of the machine that this instance runs on."""

from django.core.cache import cache
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("signature")

    def handle(self, *args, **options):
        cache.set(f"instance:{options['signature']}", True, None)
        self.stdout.write("the instance is registered")
