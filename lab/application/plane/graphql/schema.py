"""Strawberry's asynchronous GraphQL view with `async def` resolvers that touch the database."""

import asyncio
import os

import strawberry
from django.http import JsonResponse
from strawberry.django.views import AsyncGraphQLView

from plane.db.models import Issue, Workspace

LONGEST_SECONDS = 5.0


@strawberry.type
class WorkspaceType:
    slug: str
    name: str


@strawberry.type
class IssueType:
    id: strawberry.ID
    name: str


@strawberry.type
class Query:
    @strawberry.field
    async def workspaces(self) -> list[WorkspaceType]:
        return [WorkspaceType(slug=found.slug, name=found.name) async for found in Workspace.objects.all()]

    @strawberry.field
    async def issues(self, project_id: strawberry.ID, first: int = 20) -> list[IssueType]:
        found = Issue.objects.filter(project_id=project_id).order_by("created_at")[: min(first, 100)]
        return [IssueType(id=strawberry.ID(str(issue.id)), name=issue.name) async for issue in found]

    @strawberry.field
    async def waited(self, seconds: float) -> float:
        """As a resolver does that asks another service."""
        await asyncio.sleep(min(seconds, LONGEST_SECONDS))
        return seconds


schema = strawberry.Schema(query=Query)
_asynchronous = AsyncGraphQLView.as_view(schema=schema)


async def graphql_view(request):
    # Django would run it on a loop of its own in the worker's thread; tests want to see that it came to the wrong one.
    if not hasattr(request, "scope") and os.environ.get("PLANE_STANDIN_GRAPHQL_ON_WSGI") != "1":
        return JsonResponse({"error": "GraphQL needs ASGI"}, status=501)
    return await _asynchronous(request)
