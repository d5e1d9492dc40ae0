"""Where Plane writes its instance settings; the stand-in has none."""

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        self.stdout.write("the instance is configured")
