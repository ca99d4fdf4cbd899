"""Questions about resources as a cluster gets them: by the namespace, name and fields that others set."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ledger import registry
from ledger.cli import cli
from ledger.documents import Documents
from ledger.errors import AmbiguousError, NotFoundError
from ledger.events import Application, ApplicationCreated, ApplicationSource, NewEvent
from ledger.projector import Projector
from ledger.queries import Asker, Scope, outcomes
from ledger.queries.deciding import Decider
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track

IMAGE = "spec.template.spec.containers[name=api].image"


def manifest(image: str = "x/api:v0", name: str = "api", **spec: Any) -> str:
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {**spec, "template": {"spec": {"containers": [{"name": "api", "image": image}]}}},
    }
    return str(yaml.safe_dump(body))


def overlay(tag: str = "", namespace: str = "", **more: Any) -> str:
    body: dict[str, Any] = {"resources": ["../base"], **more}
    if tag:
        body["images"] = [{"name": "x/api", "newTag": tag}]
    if namespace:
        body["namespace"] = namespace
    return str(yaml.safe_dump(body))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A base with two overlays, whose tags are bumped; the base's own image changes, too."""
    repo = make_repo(tmp_path / "infra.git")
    repo.commit(
        {"base/api.yaml": manifest(), "base/kustomization.yaml": "resources: [api.yaml]\n"}, "Base"
    )
    repo.commit({"prod/kustomization.yaml": overlay("v1", "team-a")}, "Prod")
    repo.commit({"stage/kustomization.yaml": overlay("v1", "team-b")}, "Stage")
    repo.commit({"prod/kustomization.yaml": overlay("v2", "team-a")}, "Bump prod")
    repo.commit({"stage/kustomization.yaml": overlay("v3", "team-b")}, "Bump stage")
    repo.commit({"base/api.yaml": manifest("x/api:v9", replicas=3)}, "A tag that nobody sees")
    return repo


@pytest.fixture
def ledger(tmp_path: Path, repo: Repo, database_url: str) -> Ledger:
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    return ledger


def namespaced(asker: Asker, namespace: str, name: str = "deploy/api", path: str = "") -> Any:
    """The resource, the decision about its image, and the scope."""
    scope = Scope(namespace=namespace, path=path)
    resources = asker.resolve(name, scope)
    return resources, Decider(asker).decide(resources, IMAGE, scope)


# -- names -----------------------------------------------------------------------------------------


def test_a_namespace_that_a_kustomization_sets_is_found_and_named(ledger: Ledger) -> None:
    with ledger.ask() as asker:
        (found,) = asker.resolve("deploy/api", Scope(namespace="team-a"))
        assert (found.path, found.namespace) == ("base/api.yaml", "")
        assert found.effective_namespace == "team-a"
        assert found.set_by == "prod/kustomization.yaml"
        assert found.title() == "deployment/api -n team-a"
        (own,) = asker.resolve("deploy/api", Scope())
        assert (own.effective_namespace, own.set_by) == ("", "")
        with pytest.raises(NotFoundError, match="not declared in namespace 'team-c'"):
            asker.resolve("deploy/api", Scope(namespace="team-c"))


def test_a_namespace_that_the_document_says_itself_goes_along(ledger: Ledger, repo: Repo) -> None:
    written = yaml.safe_load(manifest())
    written["metadata"]["namespace"] = "team-a"
    repo.commit({"other/api.yaml": yaml.safe_dump(written)}, "Another")
    ledger.grow()
    with ledger.ask() as asker:
        with pytest.raises(AmbiguousError) as error:
            asker.resolve("deploy/api", Scope(namespace="team-a"))
        assert "base/api.yaml" in error.value.hint
        assert "other/api.yaml" in error.value.hint


def test_a_namespace_that_an_application_deploys_to_is_found(ledger: Ledger, repo: Repo) -> None:
    repo.commit({"plain/web.yaml": manifest(name="web")}, "Plain")
    ledger.grow()
    source = ApplicationSource(url="u", repository="infra", path="plain", target_revision="main")
    application = Application(
        cluster="hub", namespace="argocd", name="shop", sources=[source], destination="c1",
        destination_namespace="shop-prod",
    )  # fmt: skip
    data = ApplicationCreated(application=application, observed_at="2025-01-01T00:00:00Z")
    event = NewEvent(stream="a", key="a", source="made up", data=data)
    with ledger.store() as store:
        done = store.append([event], source="made up", recorded_at=ledger.now)
        Projector(
            store, registry.projections(), Documents(registry.parsers, store.content)
        ).catch_up(done)
    with ledger.ask() as asker:
        (found,) = asker.resolve("deploy/web", Scope(namespace="shop-prod"))
        assert found.set_by == "application argocd/shop"


def test_a_name_with_a_prefix_is_found(ledger: Ledger, repo: Repo) -> None:
    repo.commit(
        {"blue/kustomization.yaml": overlay(namespace="team-d", namePrefix="blue-")}, "Blue"
    )
    ledger.grow()
    with ledger.ask() as asker:
        for scope in (Scope(), Scope(namespace="team-d")):
            (found,) = asker.resolve("deploy/blue-api", scope)
            assert (found.name, found.path) == ("api", "base/api.yaml")
            assert found.set_by == "blue/kustomization.yaml"
        with pytest.raises(NotFoundError):
            asker.resolve("deploy/blue-api", Scope(namespace="team-a"))


# -- fields ----------------------------------------------------------------------------------------


def test_the_input_that_decides_a_field_is_named_with_its_last_change(ledger: Ledger) -> None:
    with ledger.ask() as asker:
        for namespace, subject, tag in (
            ("team-a", "Bump prod", "v2"),
            ("team-b", "Bump stage", "v3"),
        ):
            _, decision = namespaced(asker, namespace)
            assert decision.change.revision.subject == subject
            assert decision.setter.field == "images[name=x/api].newTag"
            (decided,) = decision.decided
            assert (decided.value, decided.grade) == (f"x/api:{tag}", "inferred")
            assert [one.path for one in decided.setters] == [decision.setter.path, "base/api.yaml"]


def test_what_only_the_document_decides_is_answered_from_it(ledger: Ledger) -> None:
    with ledger.ask() as asker:
        scope = Scope(namespace="team-a")
        resources = asker.resolve("deploy/api", scope)
        decision = Decider(asker).decide(resources, "spec.replicas", scope)
        assert (decision.decided, decision.change, decision.each_for_itself) == ([], None, [])


def test_of_directories_that_decide_each_for_itself_none_is_chosen(
    ledger: Ledger, repo: Repo
) -> None:
    with ledger.ask() as asker:
        resources = asker.resolve("deploy/api", Scope())
        decision = Decider(asker).decide(resources, IMAGE, Scope())
        assert (decision.change, decision.each_for_itself) == (None, ["prod", "stage"])
    repo.commit({"eu/kustomization.yaml": overlay("v7", "team-a")}, "A second of that namespace")
    ledger.grow()
    with ledger.ask() as asker:
        with pytest.raises(AmbiguousError) as error:
            namespaced(asker, "team-a")
        assert error.value.hint.splitlines()[1:] == ["  --path eu", "  --path prod"]
        _, decision = namespaced(asker, "team-a", path="eu")
        assert decision.change.revision.subject == "A second of that namespace"


def test_a_directory_that_leaves_the_field_alone_is_one_that_differs(
    ledger: Ledger, repo: Repo
) -> None:
    repo.commit({"stage/kustomization.yaml": None}, "Only prod")
    ledger.grow()
    with ledger.ask() as asker:
        resources = asker.resolve("deploy/api", Scope())
        decision = Decider(asker).decide(resources, IMAGE, Scope())
        assert decision.change is not None
        assert decision.change.revision.subject == "Bump prod"
    repo.commit({"dev/kustomization.yaml": overlay(namespace="dev")}, "Dev")
    ledger.grow()
    with ledger.ask() as asker:
        decision = Decider(asker).decide(resources, IMAGE, Scope())
        assert (decision.change, decision.each_for_itself) == (None, ["dev", "prod"])


def test_a_field_is_as_old_as_the_directory_that_takes_it_in(ledger: Ledger, repo: Repo) -> None:
    """The tag was there before the base was taken in: that is when it came to be."""
    kustomization = {"images": [{"name": "x/api", "newTag": "v5"}], "namespace": "late"}
    repo.commit({"late/kustomization.yaml": yaml.safe_dump(kustomization)}, "Not yet")
    repo.commit(
        {"late/kustomization.yaml": yaml.safe_dump({**kustomization, "resources": ["../base"]})},
        "Now",
    )
    ledger.grow()
    with ledger.ask() as asker:
        _, decision = namespaced(asker, "late")
        assert decision.change.revision.subject == "Now"


def test_the_question_may_be_about_the_past(ledger: Ledger, repo: Repo) -> None:
    commits = repo.chain()
    with ledger.ask() as asker:
        scope = Scope(namespace="team-a")
        resources = asker.resolve("deploy/api", scope)
        then = Decider(asker).decide(resources, IMAGE, scope, commits[2])
        assert then.change is not None
        assert then.change.revision.subject == "Prod"
        assert then.decided[0].value == "x/api:v1"


def test_the_history_of_a_field_is_that_of_all_that_decides_it(ledger: Ledger) -> None:
    with ledger.ask() as asker:
        resources, decision = namespaced(asker, "team-a")
        found = Decider(asker).history(resources, decision, field=IMAGE)
        subjects = [one.revision.subject for one in found]
        assert subjects == ["A tag that nobody sees", "Bump prod", "Prod", "Base"]


def test_blame_names_the_input_of_each_field(ledger: Ledger) -> None:
    with ledger.ask() as asker:
        scope = Scope(namespace="team-a")
        (one,) = asker.resolve("deploy/api", scope)
        blame, apart = Decider(asker).blame(one, scope)
        assert apart == []
        told = {
            row.field: (row.value, row.revision.subject, row.path, row.input_field)
            for row in blame.fields
        }
        assert told[IMAGE] == (
            "x/api:v2", "Bump prod", "prod/kustomization.yaml", "images[name=x/api].newTag",
        )  # fmt: skip
        assert told["metadata.namespace"] == (
            "team-a",
            "Prod",
            "prod/kustomization.yaml",
            "namespace",
        )
        assert told["spec.replicas"] == (3, "A tag that nobody sees", "", "")
        plain, apart = Decider(asker).blame(asker.resolve("deploy/api", Scope())[0], Scope())
        assert apart == ["prod", "stage"]
        assert all(row.path == "" for row in plain.fields)


def test_what_is_not_read_is_said(ledger: Ledger, repo: Repo) -> None:
    repo.commit(
        {"prod/kustomization.yaml": overlay("v4", "team-a", helmCharts=[{"name": "c"}])}, "A chart"
    )
    ledger.grow()
    with ledger.ask() as asker:
        _, decision = namespaced(asker, "team-a")
        assert decision.decided[0].unread == "helmCharts (unsupported, in prod/kustomization.yaml)"


# -- the command line ------------------------------------------------------------------------------


def run(ledger: Ledger, *arguments: str) -> str:
    before = Path.cwd()
    os.chdir(ledger.settings.folder)
    try:
        environment = {"COLUMNS": "120"}
        done = CliRunner().invoke(cli, list(arguments), env=environment, catch_exceptions=False)
    finally:
        os.chdir(before)
    return done.output


def test_the_commands_say_who_set_what(tmp_path: Path, repo: Repo) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    said = "deployment/api -n team-a: namespace team-a set by prod/kustomization.yaml (inferred)"
    lines = run(ledger, "when", "deploy/api", "-n", "team-a", "--field", IMAGE).splitlines()
    assert lines[:4] == [
        said,
        f'{IMAGE} is "x/api:v2" in prod (inferred)',
        "  decided by prod/kustomization.yaml images[name=x/api].newTag",
        f"  decided by base/api.yaml {IMAGE}",
    ]
    assert "Bump prod" in "\n".join(lines)
    assert said in run(ledger, "history", "deploy/api", "-n", "team-a")
    assert said in run(ledger, "blame", "deploy/api", "-n", "team-a")
    assert f"# {said}" in run(ledger, "show", "deploy/api", "-n", "team-a")
    assert "it is built in 2 directories, which decide this differently (prod, stage)" in run(
        ledger, "when", "deploy/api", "--field", "image"
    )


# -- two names of one field ------------------------------------------------------------------------


def secret(**written: dict[str, str]) -> str:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, **written}
    return str(yaml.safe_dump(body))


@pytest.fixture
def secrets(tmp_path: Path) -> Ledger:
    """A Secret that is written with stringData, rotated, and then written with data."""
    repo = make_repo(tmp_path / "secrets.git")
    repo.commit({"db.yaml": secret(stringData={"password": "one", "user": "u"})}, "Made")
    repo.commit({"db.yaml": secret(stringData={"password": "two", "user": "u"})}, "Rotated")
    ledger = make_ledger(tmp_path / "secrets", track(repo))
    ledger.grow()
    return ledger


def test_a_field_of_a_secret_is_found_by_the_name_that_it_has_in_the_cluster(
    secrets: Ledger,
) -> None:
    for question in ("when", "history", "blame"):
        said = run(secrets, question, "secret/db", "--field", "data.password")
        assert said.startswith("data.password is written as stringData.password in the file\n")
        assert "stringData.password" in said.partition("\n")[2]
        assert "user" not in said.partition("\n")[2]
        told = json.loads(
            run(secrets, question, "secret/db", "--field", "data.password", "-o", "json")
        )
        assert told["written_as"] == "stringData.password"
        plain = run(secrets, question, "secret/db", "--field", "stringData.password")
        assert plain == said.partition("\n")[2]
    when = run(secrets, "when", "secret/db", "--field", "data.password")
    assert "Rotated" in when
    history = run(secrets, "history", "secret/db", "--field", "data")
    assert "Made" in history
    assert "never had a field 'data.nope'" in str(refused(secrets, "when", "data.nope"))


def refused(ledger: Ledger, question: str, field: str) -> BaseException:
    with pytest.raises(NotFoundError) as error:
        run(ledger, question, "secret/db", "--field", field)
    return error.value


def test_a_secret_may_be_written_under_both_names_in_turn(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "secrets.git")
    repo.commit({"db.yaml": secret(stringData={"password": "one"})}, "Clear")
    repo.commit({"db.yaml": secret(data={"password": "b25l"})}, "Encoded")
    repo.commit({"config.yaml": secret(data={"password": "b25l"}).replace("Secret", "ConfigMap")},
                "No secret")  # fmt: skip
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    for field in ("data.password", "stringData.password"):
        told = json.loads(run(ledger, "history", "secret/db", "--field", field, "-o", "json"))
        assert [one["revision"]["subject"] for one in told["changes"]] == ["Encoded", "Clear"]
        assert told["written_as"] is None
    told = json.loads(run(ledger, "when", "cm/db", "--field", "stringData.password", "-o", "json"))
    assert told["change"] is None


# -- a whole resource --------------------------------------------------------------------------------


def subjects(ledger: Ledger, *more: str) -> list[str]:
    told = json.loads(run(ledger, "history", "deploy/api", *more, "-o", "json"))
    return [f"{one['path']}: {one['revision']['subject']}" for one in told["changes"]]


def last(ledger: Ledger, *more: str) -> str:
    told = json.loads(run(ledger, "when", "deploy/api", *more, "-o", "json"))
    return f"{told['change']['path']}: {told['change']['revision']['subject']}"


def test_the_last_change_is_that_of_what_comes_out(ledger: Ledger, repo: Repo) -> None:
    commits = repo.chain()
    assert last(ledger, "-n", "team-b") == "base/api.yaml: A tag that nobody sees"  # its replicas
    assert last(ledger, "-n", "team-a", "--at", commits[4]) == "prod/kustomization.yaml: Bump prod"
    repo.commit({"base/api.yaml": manifest("x/api:v10", replicas=3)}, "Only the tag, again unseen")
    repo.commit({"prod/kustomization.yaml": overlay("v7", "team-a")}, "Bump prod again")
    more: dict[str, Any] = {"resources": ["../base"], "namespace": "team-a"}
    more |= {"images": [{"name": "x/api", "newTag": "v7"}, {"name": "x/web", "newTag": "v2"}]}
    repo.commit({"prod/kustomization.yaml": yaml.safe_dump(more)}, "Of something else")
    ledger.grow()
    assert last(ledger, "-n", "team-a") == "prod/kustomization.yaml: Bump prod again"
    assert last(ledger, "-n", "team-b") == "base/api.yaml: A tag that nobody sees"
    assert last(ledger, "-n", "team-a", "--path", "prod") == (
        "prod/kustomization.yaml: Bump prod again"
    )
    said = run(ledger, "when", "deploy/api", "-n", "team-a")
    assert f'{IMAGE} is "x/api:v7" in prod (inferred)' in said
    assert "prod/kustomization.yaml  changed in revision 8 of infra@main" in said


def test_the_last_change_may_be_the_end_of_an_input(ledger: Ledger, repo: Repo) -> None:
    """The patch is gone and names nothing any more; that it went is the change."""
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}}
    body = yaml.safe_dump({**patch, "spec": {"replicas": 9}})
    patched = overlay("v2", "team-a", patches=[{"path": "more.yaml"}])
    repo.commit({"prod/kustomization.yaml": patched, "prod/more.yaml": body}, "Patch")
    repo.commit({"prod/more.yaml": body.replace("9", "8")}, "Less")
    ledger.grow()
    assert last(ledger, "-n", "team-a") == "prod/more.yaml: Less"
    repo.commit(
        {"prod/kustomization.yaml": overlay("v2", "team-a"), "prod/more.yaml": None}, "No patch"
    )
    ledger.grow()
    assert last(ledger, "-n", "team-a").endswith(": No patch")
    assert {"prod/more.yaml: Less", "prod/more.yaml: Patch"} < set(subjects(ledger, "-n", "team-a"))


def test_a_move_of_the_document_is_no_change_of_what_comes_out(ledger: Ledger, repo: Repo) -> None:
    moved = {"base/api.yaml": None, "base/app.yaml": manifest("x/api:v9", replicas=3)}
    repo.commit({**moved, "base/kustomization.yaml": "resources: [app.yaml]\n"}, "Move")
    ledger.grow()
    assert last(ledger, "-n", "team-a") == "base/api.yaml: A tag that nobody sees"


def test_of_directories_that_differ_the_document_itself_is_told(ledger: Ledger, repo: Repo) -> None:
    repo.commit({"prod/kustomization.yaml": overlay("v7", "team-a")}, "Bump prod again")
    ledger.grow()
    assert last(ledger) == "base/api.yaml: A tag that nobody sees"
    said = run(ledger, "when", "deploy/api")
    assert "this is the document alone: it is built in 2 directories" in said
    assert [one.partition(":")[0] for one in subjects(ledger)] == ["base/api.yaml"] * 2


def test_a_path_asks_for_what_is_written_there(ledger: Ledger, repo: Repo) -> None:
    repo.commit({"stage/kustomization.yaml": None}, "Only prod")
    repo.commit({"prod/kustomization.yaml": overlay("v7", "team-a")}, "Bump prod again")
    ledger.grow()
    assert last(ledger) == "prod/kustomization.yaml: Bump prod again"
    told = json.loads(run(ledger, "when", "base/api.yaml", "-o", "json"))
    assert told["change"]["revision"]["subject"] == "A tag that nobody sees"


def test_the_history_holds_what_the_inputs_changed(ledger: Ledger, repo: Repo) -> None:
    more: dict[str, Any] = {"resources": ["../base"], "namespace": "team-a"}
    more |= {"images": [{"name": "x/api", "newTag": "v2"}, {"name": "x/web", "newTag": "v2"}]}
    repo.commit({"prod/kustomization.yaml": yaml.safe_dump(more)}, "Of something else")
    ledger.grow()
    assert subjects(ledger, "-n", "team-a") == [
        "base/api.yaml: A tag that nobody sees",
        "prod/kustomization.yaml: Bump prod",
        "prod/kustomization.yaml: Prod",
        "base/api.yaml: Base",
    ]
    assert subjects(ledger, "-n", "team-a", "--limit", "2") == [
        "base/api.yaml: A tag that nobody sees",
        "prod/kustomization.yaml: Bump prod",
    ]
    said = run(ledger, "history", "deploy/api", "-n", "team-a")
    assert "prod/kustomization.yaml  changed in revision 4 of infra@main" in said


def test_what_was_too_much_to_read_is_said(
    ledger: Ledger, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "MAX_READ", 1)
    repo.commit({"base/api.yaml": manifest("x/api:v10", replicas=3)}, "Only the tag, again unseen")
    ledger.grow()
    assert "nothing after revision 6 changed it" in run(
        ledger, "when", "deploy/api", "-n", "team-a"
    )
    said = run(ledger, "history", "deploy/api", "-n", "team-a")
    assert "up to revision 6 these are the changes of the document alone" in said
