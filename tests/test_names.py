"""Which resource a name means: kubectl's habits, Terraform addresses, paths, identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.errors import AmbiguousError, NotFoundError
from ledger.queries import Asker, ResourceName, Scope
from ledger.queries.names import SHORT_NAMES, is_kind
from ledger.testing import Ledger, Repo, make_ledger, make_repo, track


def manifest(kind: str, name: str, group: str = "v1", namespace: str = "") -> str:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    body = {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": {"x": 1}}
    return str(yaml.safe_dump(body, sort_keys=False))


INGRESS = "networking.k8s.io/v1"
FILES: dict[str, Any] = {
    "prod/api.yaml": "---\n".join(
        [
            manifest("Deployment", "api", "apps/v1", "prod"),
            manifest("Service", "api", "v1", "prod"),
            manifest("NetworkPolicy", "allow-api", INGRESS, "prod"),
        ]
    ),
    "dev/api.yaml": manifest("Deployment", "api", "apps/v1", "dev"),
    "dev/only.yaml": manifest("Deployment", "only", "apps/v1", "dev"),
    "base/web.yaml": manifest("Deployment", "web", "apps/v1"),
    "base/ingress.yaml": manifest("Ingress", "api", INGRESS),
    "base/old-ingress.yaml": manifest("Ingress", "api", "extensions/v1beta1"),
    "base/many.yaml": "---\n".join(
        [
            manifest("ConfigMap", "kube-root-ca.crt"),
            manifest("Endpoints", "db"),
            manifest("StorageClass", "fast", "storage.k8s.io/v1"),
            manifest("GatewayClass", "edge", "gateway.networking.k8s.io/v1"),
            manifest("Gateway", "edge", "gateway.networking.k8s.io/v1"),
            manifest("ClusterRoleBinding", "system:node", "rbac.authorization.k8s.io/v1"),
            manifest("Application", "shop", "argoproj.io/v1alpha1"),
            manifest("HelmRelease", "redis", "helm.toolkit.fluxcd.io/v2"),
            manifest("Kustomization", "flux-system", "kustomize.toolkit.fluxcd.io/v1"),
            manifest("Policy", "p_1%"),
            manifest("Policy", "py1x"),
            manifest("DNS", "zone"),
        ]
    ),
    "base/kustomization.yaml": "resources: [web.yaml]\n",
    "charts/shop/values.yaml": "image: {tag: '1'}\n",
    "tf/main.tf": (
        'resource "aws_security_group" "web" {\n  name = "web"\n}\n'
        'module "vpc" {\n  source = "./vpc"\n}\n'
        'variable "region" {\n  type = string\n}\n'
        'data "aws_ami" "ubuntu" {\n  owners = ["x"]\n}\n'
        'output "ip" {\n  value = "x"\n}\n'
        'provider "aws" {\n  region = "x"\n}\n'
        "locals {\n  one = 1\n  two = 2\n}\n"
    ),
    "notes/read me.txt": "hello\n",
    "notes/ünïcode.txt": "hello\n",
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger of many kinds of resources; some were removed."""
    folder = tmp_path_factory.mktemp("names")
    repo = make_repo(folder / "infra.git")
    gone = manifest("Deployment", "gone", "apps/v1", "prod")
    twice = manifest("Deployment", "twice", "apps/v1", "prod")
    repo.commit(FILES | {"prod/gone.yaml": gone, "old/twice.yaml": twice}, "start")
    repo.commit({"prod/gone.yaml": None, "old/twice.yaml": None}, "remove")
    repo.commit(
        {"new/twice.yaml": manifest("Deployment", "twice", "apps/v1", "prod") + "# new\n"}, "back"
    )
    made = make_ledger(folder / "ledger", track(repo))
    made.grow()
    return made


@pytest.fixture
def asker(ledger: Ledger) -> Any:
    with ledger.ask() as asker:
        yield asker


def found(asker: Asker, name: str, **scope: Any) -> ResourceName:
    """The one resource that a name means."""
    [one] = asker.resolve(name, Scope(**scope))
    return one


@pytest.mark.parametrize(
    ("name", "scope", "kind", "path"),
    [
        ("deployment/web", {}, "Deployment", "base/web.yaml"),
        ("Deployment/web", {}, "Deployment", "base/web.yaml"),
        ("DEPLOYMENTS/web", {}, "Deployment", "base/web.yaml"),
        ("deployments/web", {}, "Deployment", "base/web.yaml"),
        ("deploy/web", {}, "Deployment", "base/web.yaml"),
        ("deployment.apps/web", {}, "Deployment", "base/web.yaml"),
        ("deployments.apps/web", {}, "Deployment", "base/web.yaml"),
        ("deployments.v1.apps/web", {}, "Deployment", "base/web.yaml"),
        ("deploy/api", {"namespace": "prod"}, "Deployment", "prod/api.yaml"),
        ("deploy/api", {"namespace": "dev"}, "Deployment", "dev/api.yaml"),
        ("deploy/api", {"path": "prod/"}, "Deployment", "prod/api.yaml"),
        ("deploy/web", {"namespace": ""}, "Deployment", "base/web.yaml"),
        ("svc/api", {}, "Service", "prod/api.yaml"),
        ("services/api", {}, "Service", "prod/api.yaml"),
        ("service.v1/api", {}, "Service", "prod/api.yaml"),
        ("netpol/allow-api", {}, "NetworkPolicy", "prod/api.yaml"),
        ("networkpolicies/allow-api", {}, "NetworkPolicy", "prod/api.yaml"),
        ("networkpolicies.networking.k8s.io/allow-api", {}, "NetworkPolicy", "prod/api.yaml"),
        ("allow-api", {}, "NetworkPolicy", "prod/api.yaml"),
        ("ing.networking.k8s.io/api", {}, "Ingress", "base/ingress.yaml"),
        ("ingresses.extensions/api", {}, "Ingress", "base/old-ingress.yaml"),
        ("cm/kube-root-ca.crt", {}, "ConfigMap", "base/many.yaml"),
        ("ep/db", {}, "Endpoints", "base/many.yaml"),
        ("endpoints/db", {}, "Endpoints", "base/many.yaml"),
        ("sc/fast", {}, "StorageClass", "base/many.yaml"),
        ("storageclasses/fast", {}, "StorageClass", "base/many.yaml"),
        ("gatewayclasses/edge", {}, "GatewayClass", "base/many.yaml"),
        ("gateways/edge", {}, "Gateway", "base/many.yaml"),
        ("clusterrolebinding/system:node", {}, "ClusterRoleBinding", "base/many.yaml"),
        ("app/shop", {}, "Application", "base/many.yaml"),
        ("applications.argoproj.io/shop", {}, "Application", "base/many.yaml"),
        ("hr/redis", {}, "HelmRelease", "base/many.yaml"),
        ("ks/flux-system", {}, "Kustomization", "base/many.yaml"),
        ("policies/p_1%", {}, "Policy", "base/many.yaml"),
        ("dns/zone", {}, "DNS", "base/many.yaml"),
        ("aws_security_group.web", {}, "aws_security_group", "tf/main.tf"),
        ("module.vpc", {}, "module", "tf/main.tf"),
        ("var.region", {}, "variable", "tf/main.tf"),
        ("variable.region", {}, "variable", "tf/main.tf"),
        ("data.aws_ami.ubuntu", {}, "data.aws_ami", "tf/main.tf"),
        ("output.ip", {}, "output", "tf/main.tf"),
        ("provider.aws", {}, "provider", "tf/main.tf"),
        ("local.two", {}, "local", "tf/main.tf"),
        ("base/web.yaml", {}, "Deployment", "base/web.yaml"),
        ("./base/web.yaml", {}, "Deployment", "base/web.yaml"),
        ("base/kustomization.yaml", {}, "Kustomization", "base/kustomization.yaml"),
        ("charts/shop/values.yaml", {}, "HelmValues", "charts/shop/values.yaml"),
        ("notes/read me.txt", {}, "Text", "notes/read me.txt"),
        ("notes/ünïcode.txt", {}, "Text", "notes/ünïcode.txt"),
        ("deployment/gone", {}, "Deployment", "prod/gone.yaml"),
        ("deployment/twice", {}, "Deployment", "new/twice.yaml"),
    ],
)
def test_names(name: str, scope: dict[str, Any], kind: str, path: str, asker: Asker) -> None:
    one = found(asker, name, **scope)
    assert (one.kind, one.path) == (kind, path)
    assert found(asker, one.resource) == one
    assert found(asker, name, **scope, repository="infra", branch="main") == one


def test_a_path_means_every_document_of_the_file(asker: Asker) -> None:
    kinds = [one.kind for one in asker.resolve("prod/api.yaml", Scope())]
    assert sorted(kinds) == ["Deployment", "NetworkPolicy", "Service"]
    assert len(asker.resolve("tf/main.tf", Scope())) == 8


def test_what_is_declared_now_goes_before_what_was_removed(asker: Asker) -> None:
    assert found(asker, "deployment/twice").present == 1
    assert found(asker, "deployment/gone").present == 0


@pytest.mark.parametrize(
    ("name", "scope", "shown"),
    [
        ("deployment/api", {}, ["prod/api.yaml", "dev/api.yaml", "-n prod", "-n dev"]),
        (
            "api",
            {},
            ["Deployment.apps/api -n prod", "Service/api -n prod", "Ingress.extensions/api"],
        ),
        ("api", {"namespace": "prod"}, ["Deployment.apps/api", "Service/api"]),
        ("ingress/api", {}, ["base/ingress.yaml", "base/old-ingress.yaml"]),
        ("edge", {}, ["GatewayClass", "Gateway.gateway"]),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(
    name: str, scope: dict[str, Any], shown: list[str], asker: Asker
) -> None:
    with pytest.raises(AmbiguousError, match="is ambiguous") as raised:
        asker.resolve(name, Scope(**scope))
    assert raised.value.exit_code == 4
    for text in shown:
        assert text in raised.value.hint
    identities = [line.split()[0] for line in raised.value.hint.splitlines()[1:]]
    for identity in identities:
        assert found(asker, identity).resource == identity


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("deployment/wbe", "deployment/web"),
        ("deploy/ap", "deployment/api"),
        ("netpol/allow", "networkpolicy/allow-api"),
        ("web.yaml", "base/web.yaml"),
        ("prod/apis.yaml", "prod/api.yaml"),
        ("alow-api", "allow-api"),
        ("aws_security_group.wbe", "aws_security_group.web"),
        ("py1", "py1x"),
    ],
)
def test_an_unknown_name_suggests_near_ones(name: str, near: str, asker: Asker) -> None:
    with pytest.raises(NotFoundError, match="nothing recorded is called") as raised:
        asker.resolve(name, Scope())
    assert raised.value.exit_code == 3
    assert near in raised.value.hint.splitlines()[1].strip() or near in raised.value.hint


@pytest.mark.parametrize(
    "name", ["", "/", "x/", "/x", "nothing/like/it", "%", "_", "'; drop table", "\0", "a" * 9000]
)
def test_names_of_nothing(name: str, asker: Asker) -> None:
    with pytest.raises(NotFoundError):
        asker.resolve(name, Scope())


def test_special_characters_of_like_mean_themselves_in_suggestions(asker: Asker) -> None:
    with pytest.raises(NotFoundError) as raised:
        asker.resolve("p_1", Scope())
    assert "p_1%" in raised.value.hint
    assert "py1x" not in raised.value.hint


def test_a_wrong_namespace_says_where_it_is(asker: Asker) -> None:
    with pytest.raises(NotFoundError, match="is not declared in namespace 'test'") as raised:
        asker.resolve("deployment/api", Scope(namespace="test"))
    assert raised.value.hint == "It is declared in: dev, prod."
    with pytest.raises(NotFoundError) as raised:
        asker.resolve("deployment/web", Scope(namespace="prod"))
    assert "no namespace of its own" in raised.value.hint


def test_a_wrong_repository_or_branch_finds_nothing(asker: Asker) -> None:
    for scope in (Scope(repository="other"), Scope(branch="other"), Scope(path="other/")):
        with pytest.raises(NotFoundError):
            asker.resolve("deployment/web", scope)


def test_titles_are_names_that_mean_the_same(asker: Asker, ledger: Ledger) -> None:
    for (resource,) in ledger.rows("select resource from resources where present = 1"):
        one = found(asker, resource)
        title, _, namespace = one.title().partition(" -n ")
        try:
            assert one in asker.resolve(title, Scope(namespace=namespace or None))
        except AmbiguousError as error:
            assert resource in error.hint  # noqa: PT017


def test_an_empty_ledger_says_what_to_do(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "empty")
    with ledger.ask() as asker, pytest.raises(NotFoundError) as raised:
        asker.resolve("deployment/api", Scope())
    assert "ledger ingest" in raised.value.hint


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = make_repo(tmp_path / "infra.git")
    made.commit({"api.yaml": manifest("Deployment", "api", "apps/v1")}, "start")
    return made


def test_the_same_name_on_two_branches_and_in_two_repositories(repo: Repo, tmp_path: Path) -> None:
    repo.make_branch("release")
    ledger = make_ledger(
        tmp_path / "ledger", track(repo, "one", branches=["main", "release"]), track(repo, "two")
    )
    ledger.grow()
    with ledger.ask() as asker:
        for name in ("deployment/api", "api.yaml"):
            with pytest.raises(AmbiguousError):
                asker.resolve(name, Scope())
            with pytest.raises(AmbiguousError):
                asker.resolve(name, Scope(branch="main"))
            one = found(asker, name, branch="release")
            assert (one.repository, one.branch) == ("one", "release")
            assert found(asker, name, repository="two").branch == "main"


def test_a_branch_that_was_renamed_makes_nothing_ambiguous(repo: Repo, tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path / "ledger", track(repo))
    ledger.grow()
    repo.rename_branch("main", "trunk")
    ledger.grow()
    with ledger.ask() as asker:
        for name in ("deployment/api", "api.yaml", "api"):
            assert found(asker, name).branch == "trunk"
        assert found(asker, "deployment/api", branch="main").branch == "main"


def test_every_short_name_is_its_kind() -> None:
    for short, kind in SHORT_NAMES.items():
        assert is_kind(short, kind)
        assert is_kind(short.upper(), kind)
        assert is_kind(kind, kind)
    plurals = {
        "Deployment": "deployments",
        "Ingress": "ingresses",
        "NetworkPolicy": "networkpolicies",
        "Gateway": "gateways",
        "StorageClass": "storageclasses",
        "Endpoints": "endpoints",
        "PodDisruptionBudget": "poddisruptionbudgets",
        "Proxy": "proxies",
        "Mutex": "mutexes",
    }
    for kind, plural in plurals.items():
        assert is_kind(plural, kind)
    assert not is_kind("deployment", "DeploymentConfig")
    assert not is_kind("", "Deployment")
