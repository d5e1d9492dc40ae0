"""Users, workspaces, projects, issues and pages: what is needed for lists, details, writes and one heavy answer."""

import uuid

from django.db import models


class Base(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Member(Base):
    """A user, known by an API key."""

    username = models.CharField(max_length=64, unique=True)
    api_key = models.CharField(max_length=64, unique=True)
    # Django REST framework asks for both.
    is_authenticated = True
    is_active = True


class Workspace(Base):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    members = models.ManyToManyField(Member)


class Project(Base):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    name = models.CharField(max_length=80)


class Issue(Base):
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    description = models.JSONField(default=dict)
    created_by = models.ForeignKey(Member, on_delete=models.CASCADE)
    # Given by the client, so that a test can count how often a write arrived.
    external_id = models.CharField(max_length=64, null=True, unique=True)


class Page(Base):
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    description_binary = models.BinaryField()
