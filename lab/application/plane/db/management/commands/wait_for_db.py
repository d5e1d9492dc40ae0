"""Wait until the database answers, with growing pauses, a minute at the most."""

import time

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        pause, deadline = 0.1, time.monotonic() + 60
        while True:
            try:
                connection.ensure_connection()
                break
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"the database does not answer: {str(error).splitlines()[0]}") from None
                time.sleep(pause)
                pause = min(pause * 2, 2)
        self.stdout.write("the database answers")
