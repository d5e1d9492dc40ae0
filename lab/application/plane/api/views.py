"""Synchronous views over PostgreSQL, at the paths of Plane's API."""

import time

from django.core.cache import cache
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from rest_framework import generics, serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from plane.db.models import Issue, Member, Page, Project, Workspace

MOST_WORK_SECONDS = 1.0


class WorkspaceSerializer(serializers.ModelSerializer):
    class Meta:
        model = Workspace
        fields = ["id", "slug", "name", "created_at"]


class ProjectSerializer(serializers.ModelSerializer):
    class Meta:
        model = Project
        fields = ["id", "name", "created_at"]


class IssueSerializer(serializers.ModelSerializer):
    class Meta:
        model = Issue
        fields = ["id", "name", "description", "external_id", "created_by", "created_at"]
        read_only_fields = ["created_by"]


class PageSerializer(serializers.ModelSerializer):
    class Meta:
        model = Page
        fields = ["id", "name", "created_at"]


class SignIn(APIView):
    """Opens a session, kept in Redis, for the owner of an API key."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request):
        member = get_object_or_404(Member, api_key=request.data.get("api_key", ""))
        request.session["member"] = str(member.pk)
        return Response({"username": member.username})


class UserMe(APIView):
    def get(self, request):
        member = request.user
        workspaces = cache.get_or_set(f"workspaces:{member.pk}", lambda: member.workspace_set.count(), 30)
        return Response({"id": str(member.pk), "username": member.username, "workspaces": workspaces})


class WorkspaceList(generics.ListCreateAPIView):
    serializer_class = WorkspaceSerializer

    def get_queryset(self):
        return Workspace.objects.filter(members=self.request.user)


class WorkspaceDetail(generics.RetrieveAPIView):
    serializer_class = WorkspaceSerializer
    queryset = Workspace.objects.all()
    lookup_field = "slug"


class InProject:
    """Narrows a view to the project of its path."""

    def get_queryset(self):
        return self.serializer_class.Meta.model.objects.filter(project_id=self.kwargs["project_id"]).order_by(
            "created_at"
        )


class ProjectList(generics.ListAPIView):
    serializer_class = ProjectSerializer

    def get_queryset(self):
        return Project.objects.filter(workspace__slug=self.kwargs["slug"])


class IssueList(InProject, generics.ListCreateAPIView):
    serializer_class = IssueSerializer

    def get_queryset(self):
        return super().get_queryset()[:50]

    def perform_create(self, serializer):
        serializer.save(project_id=self.kwargs["project_id"], created_by=self.request.user)


class IssueDetail(InProject, generics.RetrieveUpdateDestroyAPIView):
    serializer_class = IssueSerializer


class PageList(InProject, generics.ListAPIView):
    serializer_class = PageSerializer

    def get_queryset(self):
        return super().get_queryset().defer("description_binary")


class PageDetail(InProject, generics.RetrieveAPIView):
    serializer_class = PageSerializer

    def get_queryset(self):
        return super().get_queryset().defer("description_binary")


class PageDescription(APIView):
    """The heavy answer: the whole field is loaded, then handed over as one chunk, as Plane does.

    work: seconds of a processor that it takes more, since this view does less than Plane's.
    """

    def get(self, request, slug, project_id, pk):
        end = time.thread_time() + min(float(request.GET.get("work", "0")), MOST_WORK_SECONDS)
        while time.thread_time() < end:
            pass
        page = get_object_or_404(Page, pk=pk, project_id=project_id, project__workspace__slug=slug)

        def whole():
            yield bytes(page.description_binary)

        response = StreamingHttpResponse(whole(), content_type="application/octet-stream")
        response["Content-Disposition"] = 'attachment; filename="page_description.bin"'
        return response
