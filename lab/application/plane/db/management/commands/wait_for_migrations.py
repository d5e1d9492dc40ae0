"""Wait until every migration is applied, a minute at the most."""

import time

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args, **options):
        deadline = time.monotonic() + 60
        while True:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if not missing:
                break
            if time.monotonic() > deadline:
                raise CommandError(f"{len(missing)} migrations are not applied")
            time.sleep(1)
        self.stdout.write("every migration is applied")
