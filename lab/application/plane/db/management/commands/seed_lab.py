"""Fill the database with what the lab's clients ask for; does nothing where it is there already."""

import os
import uuid

from django.core.management.base import BaseCommand
from django.db import transaction

from plane.db.models import Issue, Member, Page, Project, Workspace

PROJECT = uuid.UUID(int=1)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--mebibytes", type=int, default=5, help="size of each page description")
        parser.add_argument(
            "--sizes", type=int, nargs="*", default=[], help="a page more of each of these, in mebibytes"
        )

    @transaction.atomic
    def handle(self, *args, **options):
        members = [
            Member.objects.get_or_create(username=name, defaults={"api_key": f"lab-{name}"})[0]
            for name in ("ada", "grace", "linus")
        ]
        workspace, _ = Workspace.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
        workspace.members.set(members)
        project, _ = Project.objects.get_or_create(id=PROJECT, defaults={"workspace": workspace, "name": "Project"})
        for number in range(1, 31):
            Issue.objects.get_or_create(
                id=uuid.UUID(int=1000 + number),
                defaults={
                    "project": project,
                    "name": f"Issue {number}",
                    "description": {"text": "word " * 40},
                    "created_by": members[number % 3],
                },
            )
        pages = {2000 + number: options["mebibytes"] for number in range(1, 4)}
        pages |= {3000 + size: size for size in options["sizes"]}
        for number, size in pages.items():
            if not Page.objects.filter(id=uuid.UUID(int=number)).exists():
                Page.objects.create(
                    id=uuid.UUID(int=number),
                    project=project,
                    name=f"Page {number}",
                    # Random bytes: what compression cannot make small.
                    description_binary=os.urandom(size * 1024 * 1024),
                )
        self.stdout.write("the lab's data is there")
