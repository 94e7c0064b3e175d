"""The image recipe and the files for running it, as far as they can be checked without a container."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy import __version__
from ollama_openai_proxy.settings import DEFAULT_PORTS, Settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.dockerfile import command_of, read_dockerfile, variables
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
STAGES = read_dockerfile(ROOT / "Dockerfile")
LAST = STAGES[-1]
SECRET = re.compile(r"key|secret|token|password", re.IGNORECASE)
SETTINGS = {name.upper() for name in Settings.model_fields}
OF_OTHERS = {"PATH", "PYTHONUNBUFFERED", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR", "PIP_ROOT_USER_ACTION"}
"""Variables that Python, pip and the shell know."""
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def program(name: str) -> str:
    """A tool of the development dependencies, or of the machine."""
    found = shutil.which(name, path=os.pathsep.join([str(BIN), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


def check(*command: str | Path, **environment: str) -> str:
    ended = subprocess.run(
        list(map(str, command)), env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


# -- The image ---------------------------------------------------------------------------------------------------------


def test_hadolint_finds_nothing() -> None:
    check(program("hadolint"), "--no-color", ROOT / "Dockerfile")


def test_every_base_image_has_a_fixed_version() -> None:
    names = {stage.name for stage in STAGES}
    bases = [stage.base for stage in STAGES if stage.base not in names]
    assert bases
    assert all(PINNED.fullmatch(base) for base in bases)
    assert all(re.match(r"python:3\.12\.\d+-slim", base) for base in bases)
    (label,) = [variables(text)["org.opencontainers.image.base.name"] for text in LAST.texts("LABEL")]
    assert [label] == [f"docker.io/library/{base}" for base in bases]


def copied() -> list[str]:
    """The sources of what is copied out of the repository."""
    texts = [text for stage in STAGES for text in stage.texts("COPY") if not text.startswith("--from=")]
    return [source for text in texts for source in shlex.split(text)[:-1]]


@pytest.mark.parametrize("source", copied())
def test_what_it_copies_exists_and_is_let_into_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_nothing_else_is_let_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert sorted(rule for rule in rules if rule.startswith("!")) == sorted({f"!{source}" for source in copied()})


def test_nothing_that_builds_or_installs_gets_into_the_last_stage() -> None:
    assert [text.split()[0] for text in LAST.texts("RUN")] == ["useradd"]
    taken = [text.split() for text in LAST.texts("COPY")]
    assert taken == [["--from=build", "/opt/ollama-openai-proxy", "/opt/ollama-openai-proxy"]]
    (venv,) = [text for stage in STAGES for text in stage.texts("RUN") if "-m venv" in text]
    assert "--without-pip" in venv


def test_every_package_is_checked_by_its_hash() -> None:
    commands = [part for stage in STAGES for text in stage.texts("RUN") for part in text.split("&&") if " install " in part]
    assert len(commands) == 3
    assert all("--require-hashes" in command or re.search(r"--no-deps \S+\.whl", command) for command in commands)


@pytest.mark.parametrize("file", ["build.txt", "extras.txt"])
def test_all_that_it_takes_from_the_development_dependencies_is_named(file: str) -> None:
    declared = [Requirement(text) for text in requires("ollama-openai-proxy") or []]
    extras = [requirement.name for requirement in declared if "extra" in str(requirement.marker)]
    pending = ["hatchling"] if file == "build.txt" else extras
    wanted: set[str] = set()
    while pending:
        name = canonicalize_name(pending.pop())
        if name not in wanted:
            wanted.add(name)
            needed = [Requirement(text) for text in requires(name) or []]
            of_image = {"extra": "", "python_version": "3.12", "sys_platform": "linux"}
            pending += [each.name for each in needed if each.marker is None or each.marker.evaluate(of_image)]
    runtime, locked = (
        set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("runtime.txt", "dev.txt")
    )
    (command,) = [text for stage in STAGES for text in stage.texts("RUN") if f"> {file}" in text]
    (pattern,) = re.findall(rf"wanted = /\^\(([^/]+)\)==/ \}} wanted'\s+requirements/dev.txt > {re.escape(file)}", command)
    taken = {name for name in locked if re.fullmatch(pattern, name)}
    assert taken == (wanted if file == "build.txt" else wanted - runtime)


def test_it_runs_as_a_user_that_is_not_root() -> None:
    (user,) = LAST.texts("USER")
    uid, gid = map(int, user.split(":"))
    assert min(uid, gid) >= 1000
    assert f"--uid {uid} --user-group" in LAST.texts("RUN")[0]


def test_signals_reach_the_proxy_and_both_ports_are_exposed() -> None:
    assert [command_of(text) for text in LAST.texts("ENTRYPOINT")] == [["ollama-openai-proxy"]]
    assert LAST.texts("CMD") == []
    assert LAST.texts("EXPOSE") == [" ".join(map(str, DEFAULT_PORTS.values()))]


def test_variables_are_settings_and_none_holds_a_secret() -> None:
    names = {name for stage in STAGES for name in stage.environment()} | {
        text.partition("=")[0] for stage in STAGES for text in stage.texts("ARG")
    }
    assert names - SETTINGS - OF_OTHERS == set()
    assert not any(SECRET.search(name) for name in names)
    assert LAST.environment()["PROXY_HOST"] == "0.0.0.0"
    assert LAST.environment()["LOG_FORMAT"] == "json"


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, DEFAULT_PORTS["translate"]),
        ({"PROXY_MODE": "translate"}, DEFAULT_PORTS["translate"]),
        ({"PROXY_MODE": " Fix "}, DEFAULT_PORTS["fix"]),
        ({"PROXY_MODE": "fix", "PROXY_PORT": ""}, DEFAULT_PORTS["fix"]),
        ({"PROXY_MODE": "fix", "PROXY_PORT": "8080"}, 8080),
    ],
)
@pytest.mark.parametrize(("status", "ends_with"), [(200, False), (503, True)])
def test_the_health_check_asks_where_the_proxy_listens(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], port: int, status: int, ends_with: bool
) -> None:
    asked: list[tuple[object, ...]] = []

    class Connection:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            asked.append((host, port))

        def request(self, method: str, path: str) -> None:
            asked.append((method, path))

        def getresponse(self) -> Connection:
            return self

    monkeypatch.setattr(Connection, "status", status, raising=False)
    monkeypatch.setattr(http.client, "HTTPConnection", Connection)
    for name in ("PROXY_MODE", "PROXY_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (text,) = LAST.texts("HEALTHCHECK")
    python, option, code = command_of(text)
    assert (python, option) == ("python", "-c")
    with pytest.raises(SystemExit) as ended:
        exec(code, {})
    assert bool(ended.value.code) == ends_with
    assert asked == [("127.0.0.1", port), ("GET", "/healthz")]


# -- Compose -----------------------------------------------------------------------------------------------------------

COMPOSE = yaml(ROOT / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


WEB_PORT = 8081
"""mitmweb's own default."""


def test_mitmweb_has_a_password_and_a_place_for_its_files() -> None:
    command = SERVICES["debug"]["command"]
    assert command[0] == "web"
    assert "web_password=${MITMWEB_PASSWORD:-}" in command
    assert SERVICES["debug"]["read_only"] is True
    assert SERVICES["debug"]["tmpfs"] == ["/tmp"]


def test_the_compose_file_is_one() -> None:
    check(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")


def test_it_has_both_modes_and_replicas_and_a_view_of_calls() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert [name for name, named in profiles.items() if not named] == ["proxy"]
    assert {name for name, named in profiles.items() if named == ["ollama"]} == {"ollama", "fix"}
    assert {name for name, named in profiles.items() if named == ["replicas"]} == {
        "redis",
        "replica-1",
        "replica-2",
        "balancer",
    }
    assert [name for name, named in profiles.items() if named == ["debug"]] == ["debug"]
    modes = {name: service["environment"]["PROXY_MODE"] for name, service in OURS.items()}
    translating = dict.fromkeys(("proxy", "debug", "replica-1", "replica-2"), "translate")
    assert modes == {**translating, "fix": "fix"}


@pytest.mark.parametrize("name", OURS)
def test_its_variables_are_settings_that_let_the_proxy_be_reached(name: str) -> None:
    environment = OURS[name]["environment"]
    assert set(environment) <= SETTINGS
    assert environment["PROXY_HOST"] == "0.0.0.0"
    assert environment["PROXY_PORT"] == str(DEFAULT_PORTS[environment["PROXY_MODE"]])
    # Its values win over those of the environment file, in which secrets belong.
    assert not any(SECRET.search(each) for each in environment)
    assert OURS[name]["env_file"] == [{"path": ".env", "required": False}]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_those_of_this_machine_until_someone_says_otherwise(name: str) -> None:
    service = SERVICES[name]
    for port in service.get("ports", []):
        if port["target"] == WEB_PORT:
            # mitmweb shows prompts and answers.
            assert port["host_ip"] == "127.0.0.1"
            continue
        assert port["host_ip"] == "${PROXY_HOST:-127.0.0.1}"
        assert port["published"] == f"${{PROXY_PORT:-{port['target']}}}"
        assert port["target"] in DEFAULT_PORTS.values()
    assert service.get("network_mode") is None


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_and_says_whether_it_is_healthy(name: str) -> None:
    service = SERVICES[name]
    if name in OURS:
        assert service["build"] == "."
        # The image brings its own.
        assert "healthcheck" not in service
    else:
        assert PINNED.fullmatch(service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_depends_on_starts_with_it(name: str) -> None:
    service = SERVICES[name]
    for needed, how in service.get("depends_on", {}).items():
        assert SERVICES[needed]["profiles"] == service["profiles"]
        assert how == {"condition": "service_healthy"}
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", [*OURS, "balancer"])
def test_docker_waits_for_running_answers(name: str) -> None:
    grace = re.fullmatch(r"(\d+)s", SERVICES[name]["stop_grace_period"])
    assert grace is not None
    assert int(grace[1]) > Settings.model_fields["drain_seconds"].default


# -- HAProxy -----------------------------------------------------------------------------------------------------------

HAPROXY = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")


def directives() -> Iterator[str]:
    for line in HAPROXY.splitlines():
        if words := line.partition("#")[0].split():
            yield " ".join(words)


def test_haproxy_takes_its_configuration_without_a_warning() -> None:
    replicas = {"REPLICA_1": "127.0.0.1:1", "REPLICA_2": "127.0.0.1:2", "BIND": "127.0.0.1:3"}
    said = check(program("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg", **replicas)
    assert "WARNING" not in said


def test_its_replicas_and_its_port_are_those_of_the_compose_file() -> None:
    servers = dict(re.findall(r'^    server (\S+) "\$\{REPLICA_\d-(\S+)\}"$', HAPROXY, re.MULTILINE))
    assert servers == {
        name: f"{name}:{OURS[name]['environment']['PROXY_PORT']}" for name in OURS if name.startswith("replica-")
    }
    (bound,) = re.findall(r'^    bind "\$\{BIND-:(\d+)\}"$', HAPROXY, re.MULTILINE)
    assert [port["target"] for port in SERVICES["balancer"]["ports"]] == [int(bound)]


def test_it_holds_nothing_back_and_repeats_only_what_has_reached_nobody() -> None:
    lines = list(directives())
    assert "option http-no-delay" in lines
    assert not any(
        line.startswith(("compression", "filter", "option http-buffer-request", "http-request cache")) for line in lines
    )
    assert [line for line in lines if line.startswith("retry-on")] == ["retry-on conn-failure"]
    assert "http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost" in lines


def test_what_it_says_itself_is_an_error_as_ollama_has_them() -> None:
    texts = re.findall(
        r'http-error status \d+ content-type "application/json; charset=utf-8" string "(.*)"$', HAPROXY, re.MULTILINE
    )
    assert len(texts) == 3
    assert all(list(json.loads(text.replace('\\"', '"'))) == ["error"] for text in texts)


# -- Kubernetes --------------------------------------------------------------------------------------------------------

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION = yaml(FOLDER / "kustomization.yaml")
MANIFESTS = {path.name: yaml(path) for path in sorted(FOLDER.glob("*.yaml")) if path.name != "kustomization.yaml"}
NAME = "ollama-openai-proxy"
POD = MANIFESTS["deployment.yaml"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
CONFIG: dict[str, str] = MANIFESTS["configmap.yaml"]["data"]


@pytest.mark.parametrize("version", ["1.27.0", "1.33.0"])
def test_manifests_keep_to_the_schemas_of_their_kinds(version: str) -> None:
    said = check(program("kubernetes-validate"), "--strict", "-k", version, *(FOLDER / name for name in MANIFESTS))
    assert said.count(" passed for resource ") == len(MANIFESTS)


def test_all_manifests_but_the_example_of_a_secret_are_applied() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == sorted(set(MANIFESTS) - {"secret.example.yaml"})
    assert KUSTOMIZATION["kind"] == "Kustomization"
    assert [(image["name"], image["newTag"]) for image in KUSTOMIZATION["images"]] == [(CONTAINER["image"], __version__)]


def test_kustomize_takes_them() -> None:
    check(program("kubectl"), "kustomize", FOLDER)


def test_they_mean_each_other() -> None:
    labels = {"app.kubernetes.io/name": NAME}
    assert {manifest["metadata"]["name"] for manifest in MANIFESTS.values()} == {NAME}
    assert all(manifest["metadata"]["labels"] == labels for manifest in MANIFESTS.values())
    assert POD["metadata"]["labels"] == labels
    assert MANIFESTS["deployment.yaml"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["service.yaml"]["spec"]["selector"] == labels
    assert MANIFESTS["disruption.yaml"]["spec"]["selector"]["matchLabels"] == labels
    target = MANIFESTS["autoscaler.yaml"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    # Else every `kubectl apply` would set back what the autoscaler has decided.
    assert "replicas" not in MANIFESTS["deployment.yaml"]["spec"]
    assert [next(iter(source.values()))["name"] for source in CONTAINER["envFrom"]] == [NAME, NAME]


def test_their_variables_are_settings_and_keys_are_in_the_secret_only() -> None:
    secret = MANIFESTS["secret.example.yaml"]["stringData"]
    commented = re.findall(r"^  # ([A-Z_]+):", (FOLDER / "configmap.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*CONFIG, *commented, *secret} <= SETTINGS
    assert not any(SECRET.search(name) for name in CONFIG)
    assert set(secret) == {"OPENAI_API_KEY", "PROXY_API_KEYS"}
    assert all(value.startswith("REPLACE-WITH-") for value in secret.values())
    assert "optional" not in CONTAINER["envFrom"][1]["secretRef"]


def test_the_proxy_takes_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name.lower(): value for name, value in (CONFIG | MANIFESTS["secret.example.yaml"]["stringData"]).items()}
    monkeypatch.chdir(FOLDER)
    assert Settings(**given).drain_seconds == float(CONFIG["DRAIN_SECONDS"])


def test_their_ports_are_those_that_the_proxy_listens_on() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": DEFAULT_PORTS["translate"], "metrics": int(CONFIG["METRICS_PORT"])}
    annotations = POD["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == (CONFIG["METRICS_PORT"], "/metrics")
    assert [port["targetPort"] for port in MANIFESTS["service.yaml"]["spec"]["ports"]] == ["http"]


def test_probes_ask_the_right_questions() -> None:
    paths = {name: CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    alive, ready = {"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": "http"}
    assert paths == {"startup": alive, "liveness": alive, "readiness": ready}


def test_kubernetes_waits_for_running_answers() -> None:
    sleep, seconds = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert POD["spec"]["terminationGracePeriodSeconds"] > int(seconds) + float(CONFIG["DRAIN_SECONDS"])


def test_a_pod_may_do_no_more_than_it_has_to() -> None:
    spec = POD["spec"]
    uid, gid = map(int, LAST.texts("USER")[0].split(":"))
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (uid, gid)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    # The variables that Kubernetes makes for a Service named `proxy` would be taken for settings.
    assert spec["enableServiceLinks"] is False
    assert set(CONTAINER["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in CONTAINER["resources"]["limits"]


def test_replicas_are_counted_by_a_metric_of_the_proxy() -> None:
    metrics = ROOT / "addons" / "ollama_openai_proxy" / "observe" / "metrics.py"
    (metric,) = MANIFESTS["autoscaler.yaml"]["spec"]["metrics"]
    assert f'"{metric["pods"]["metric"]["name"]}"' in metrics.read_text(encoding="utf-8")
    assert MANIFESTS["autoscaler.yaml"]["spec"]["minReplicas"] >= 2


# -- Memory


def test_the_default_limits_of_bodies_fit_the_memory_that_the_deployment_files_give() -> None:
    """A text of which one letter is outside Latin-1 takes four bytes a letter, twice while it is parsed."""
    compose = yaml(ROOT / "compose.yaml")
    limits = [compose["services"][name]["mem_limit"] for name in ("proxy", "fix", "replica-1", "replica-2")]
    assert limits == ["1g"] * 4
    (container,) = yaml(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    fields = Settings.model_fields
    held, body = int(fields["max_buffered"].default), int(fields["max_body_size"].default)
    assert 4 * held + 9 * body + (100 << 20) < 1 << 30


def test_every_service_has_a_limit_of_processes_and_the_proxy_one_of_open_files() -> None:
    services = yaml(ROOT / "compose.yaml")["services"]
    assert [name for name, service in services.items() if not service.get("pids_limit")] == []
    assert [name for name, service in services.items() if not service.get("mem_limit")] == ["ollama"]
    for name in ("proxy", "fix", "replica-1", "replica-2", "balancer"):
        assert services[name]["ulimits"]["nofile"] > 1024
