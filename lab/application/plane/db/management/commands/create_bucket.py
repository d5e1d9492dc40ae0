"""Where Plane creates its bucket; the stand-in keeps everything in PostgreSQL."""

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        self.stdout.write("no bucket is needed")
