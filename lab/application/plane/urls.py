"""Routes. Django loads this with the first request, not with the application, and with it everything it imports."""

from django.conf import settings
from django.http import JsonResponse
from django.urls import path

from plane import standin_fault
from plane.api import debug, views
from plane.graphql.schema import graphql_view


def health(request):
    """Health without the database."""
    return JsonResponse({"status": "OK"}, status=standin_fault.health_status())


project = "api/workspaces/<slug:slug>/projects/<uuid:project_id>"
urlpatterns = [
    path("", health),
    path("auth/sign-in/", views.SignIn.as_view()),
    path("api/users/me/", views.UserMe.as_view()),
    path("api/workspaces/", views.WorkspaceList.as_view()),
    path("api/workspaces/<slug:slug>/", views.WorkspaceDetail.as_view()),
    path("api/workspaces/<slug:slug>/projects/", views.ProjectList.as_view()),
    path(f"{project}/issues/", views.IssueList.as_view()),
    path(f"{project}/issues/<uuid:pk>/", views.IssueDetail.as_view()),
    path(f"{project}/pages/", views.PageList.as_view()),
    path(f"{project}/pages/<uuid:pk>/", views.PageDetail.as_view()),
    path(f"{project}/pages/<uuid:pk>/description/", views.PageDescription.as_view()),
    path("graphql/", graphql_view),
]
if settings.STANDIN_DEBUG:
    urlpatterns += [
        path("api/debug/sleep/", debug.sleep),
        path("api/debug/allocate/", debug.allocate),
        path("api/debug/process/", debug.process),
        path("api/debug/request-state/", debug.request_state),
        path("api/debug/echo/", debug.echo),
        path("api/debug/stream/", debug.stream),
        path("api/debug/large/", debug.large),
    ]
