"""Empty the cache that all instances share, as Plane does at every start."""

from django.core.cache import cache
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        cache.clear()
        self.stdout.write("the cache is empty")
