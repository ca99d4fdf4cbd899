"""The promises of the scaffold: locks, make targets, no host names, what the wheel carries."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def locked(name: str) -> dict[NormalizedName, str]:
    """Package name → pinned version; fails on any line that is not a pin with hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        requirement, *hashes = line.split("--hash=")
        pin = Requirement(requirement)
        [specifier] = pin.specifier
        assert specifier.operator == "=="
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", digest) for digest in hashes)
        pins[canonicalize_name(pin.name)] = specifier.version
    return pins


def wanted(*groups: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for at run time and in the given dependency groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    yield from map(Requirement, project["project"]["dependencies"])
    for group in groups:
        for entry in project["dependency-groups"][group]:
            if isinstance(entry, str):
                yield Requirement(entry)


def tracked_files() -> list[Path]:
    """Every file that git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
    output = subprocess.run(
        [*listing, "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    paths = [ROOT / name for name in output.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_with_hashes_and_names_no_address(name: str) -> None:
    assert len(locked(name)) > 20
    assert not re.search(r"://|@|--(extra-)?index-url|--find-links", (ROOT / name).read_text())


@pytest.mark.parametrize(
    ("name", "groups"), [(LOCKS[0], ("build",)), (LOCKS[1], ("build", "dev"))], ids=LOCKS
)
def test_lock_satisfies_pyproject(name: str, groups: tuple[str, ...]) -> None:
    pins = locked(name)
    for requirement in wanted(*groups):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_both_locks_agree() -> None:
    assert locked(LOCKS[0]).items() <= locked(LOCKS[1]).items()


def test_makefile_has_at_most_ten_targets() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    [targets] = [line.split() for line in phony]
    assert {"demo", "test"} <= set(targets)
    assert len(targets) <= 10


def test_no_tracked_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    needles = [  # in pieces, so that this file does not name what it looks for
        *("pypi" + ".org", "python" + "hosted.", "npm" + "js.org", "npm" + "js.com"),
        *("deb." + "debian", "/wo" + "rk/main", "/ro" + "ot/."),
    ]
    found = [
        f"{path.relative_to(ROOT)}: {needle}"
        for path in tracked_files()
        for needle in needles
        if needle.encode() in path.read_bytes()
    ]
    assert found == []


def test_wheel_and_sdist_carry_the_package_migrations_and_reports(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)

    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {"ledger/py.typed", "ledger/_reports/README.md"} <= inside
    assert "ledger/_migrations/README.md" in inside
    assert {name.split("/")[0] for name in inside} == {"ledger"}

    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        source = {name.partition("/")[2] for name in tar.getnames()}
    assert {"ledger/py.typed", "reports/README.md", "migrations/README.md", "LICENSE"} <= source
    assert {*LOCKS, "Makefile", "tests/conftest.py"} <= source


def test_postgres_answers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_each_test_gets_an_empty_database(database_url: str) -> None:
    scheme, _, rest = database_url.partition(":")
    if scheme == "sqlite":
        assert not Path(rest.removeprefix("///")).exists()
        return
    with psycopg.connect(database_url) as connection:
        tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)
        assert connection.execute("select 'a' < 'B'").fetchone() == (False,)
