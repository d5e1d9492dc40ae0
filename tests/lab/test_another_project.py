"""Another Django project, with applications of other names, deploys and is verified through variables alone."""

from __future__ import annotations

import subprocess
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, Host, changed, report, site, succeeded

PINS = ROOT / "lab" / "application" / "requirements" / "pins.txt"
FILES = {
    "run.py": """
        import os, sys
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.config")
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
    """,
    "shop/__init__.py": "",
    "shop/config.py": """
        import os
        SECRET_KEY = os.environ["SECRET_KEY"]
        ALLOWED_HOSTS = ["shop.example"]
        ROOT_URLCONF = "shop.urls"
        DATABASES = {}
    """,
    "shop/urls.py": """
        from django.http import HttpResponse
        from django.urls import path
        def healthy(request):
            return HttpResponse("open")
        urlpatterns = [path("healthy", healthy)]
    """,
    "shop/entry/__init__.py": "",
    "shop/entry/sync.py": """
        import os
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.config")
        from django.core.wsgi import get_wsgi_application
        web = get_wsgi_application()
    """,
    "shop/entry/asynchronous.py": """
        import os
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.config")
        from django.core.asgi import get_asgi_application
        web = get_asgi_application()
    """,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "shop"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    (folder / "packages.txt").write_text(PINS.read_text())
    return folder


@pytest.fixture(scope="module")
def deploy(api2: Host) -> Iterator[Any]:
    def run(source: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return succeeded(
            site(
                api2.name,
                plane_release_source=source,
                plane_release_manage="run.py",
                plane_release_requirements="packages.txt",
                plane_release_wsgi="shop.entry.sync:web",
                plane_release_asgi="shop.entry.asynchronous:web",
                plane_release_writable_paths=[],
                plane_api_prestart=["check"],
                plane_api_health_path="/healthy",
                plane_api_health_host="shop.example",
                plane_api_heavy_routes=[],
                **variables,
            )
        )

    yield run
    succeeded(site(api2.name))


def observed(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = report()["hosts"][host.name]["plane-api"]
    assert found["match"]
    seen: dict[str, Any] = found["observed"]
    return seen


def test_another_project_runs_as_a_directory_an_archive_and_a_git_url(
    shop: Path, tmp_path: Path, deploy: Any, api2: Host
) -> None:
    deploy(str(shop))
    seen = observed(api2)
    assert (seen["worker_class"], seen["application"]) == ("gthread", "shop.entry.sync:web")
    asked = f"http://{api2.address}:8000/healthy"
    said = subprocess.run(["curl", "--silent", "-H", "Host: shop.example", asked], capture_output=True, check=True)
    assert said.stdout == b"open"

    # The same content is the same release, whatever it is handed over as: nothing changes.
    archive = tmp_path / "shop.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(shop, arcname="shop-1.0")
    assert changed(deploy(str(archive))) == {api2.name: 0}

    repository = tmp_path / "shop.git"
    git = ["git", "-c", "user.name=lab", "-c", "user.email=lab@example.com", "-C", str(shop)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "shop"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(shop), str(repository)], check=True)
    assert changed(deploy(f"git+file://{repository}", plane_release_git_ref="v1")) == {api2.name: 0}

    deploy(str(shop), plane_api_worker_class="")
    seen = observed(api2)
    assert (seen["worker_class"], seen["application"]) == ("uvicorn", "shop.entry.asynchronous:web")


def test_releases_that_no_colour_names_are_pruned(deploy: Any, shop: Path, api2: Host) -> None:
    """The shop is the newest, Plane was here before it: with two kept, what is older goes unless a colour names it."""
    older = "/srv/plane/releases/older"
    api2.run(f"mkdir -p {older} && echo '{{}}' >{older}/release.json && touch -d '1 year ago' {older}/release.json")
    before = set(api2.run("ls /srv/plane/releases").split())
    deploy(str(shop), plane_release_kept=2)
    named = set(api2.run("for link in /etc/plane-*/*/release; do basename $(readlink -f $link); done").split())
    left = set(api2.run("ls /srv/plane/releases").split())
    assert "older" in before - left
    assert named <= left
    assert len(left - named) <= 2
