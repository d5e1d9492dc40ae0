"""A session of /auth/sign-in/, or the header X-Api-Key."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from plane.db.models import Member


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request):
        key = request.headers.get("X-Api-Key")
        identifier = request.session.get("member")
        if not key and not identifier:
            return None
        member = Member.objects.filter(**({"api_key": key} if key else {"id": identifier})).first()
        if member is None:
            raise AuthenticationFailed("unknown API key or session")
        return member, None

    def authenticate_header(self, request):
        return "X-Api-Key"
