"""The files that the gateway is deployed by: each against its schema, all against each other and the program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import psycopg
import pytest
import yaml

from spec_mcp.__main__ import run
from spec_mcp.config import Config, load_config
from spec_mcp.relay import process
from spec_mcp.relay.front.serve import LAST_WORDS_S
from spec_mcp.relay.gateway.served import SETTLING_S
from spec_mcp.relay.making import LEAVING_RECORD_CLOSE_S
from tests import postgres
from tests.cli.gateways import OverHttp, python
from tests.cli.test_run_leaving import client_of
from tests.servers.install import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.31", "1.34", "1.37")
"""From the oldest that somebody still maintains to the newest that there is a schema of."""

GATEWAY_PORT, METRICS_PORT = 8765, 9464


def manifests() -> dict[str, Any]:
    """By kind."""
    found = [one for path in DEPLOY.glob("kubernetes/*.yaml") for one in yaml.safe_load_all(path.read_text())]
    return {one["kind"]: one for one in found}


@pytest.fixture
def kinds() -> dict[str, Any]:
    return manifests()


@pytest.fixture
def pod(kinds: dict[str, Any]) -> Any:
    return kinds["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def configured(text: str, folder: Path) -> Config:
    path = folder / "config.toml"
    path.write_text(text)
    return load_config(path)


def served(config: Config) -> dict[str, object]:
    """What is alike wherever it is deployed."""
    return {"listen": config.listen, "servers": config.servers, "mode": config.speculation.mode}


def leaving_s(config: Config) -> float:
    """The most that it takes from SIGTERM to the exit."""
    servers_s = process.POLITE_S + process.TERM_S + process.KILLED_S
    assert config.listen.notice_s is not None
    return (
        config.listen.notice_s + config.listen.drain_s + LAST_WORDS_S + SETTLING_S + LEAVING_RECORD_CLOSE_S + servers_s
    )


# --- Kubernetes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("kind", sorted(manifests()))
def test_each_manifest_is_what_kubernetes_takes(kinds: dict[str, Any], kind: str, version: str) -> None:
    assert kubernetes_validate.validate(kinds[kind], version, strict=True) == version


def test_a_manifest_with_a_key_that_is_none_is_told_apart(kinds: dict[str, Any]) -> None:
    kinds["Service"]["spec"]["sessionAffinities"] = "None"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(kinds["Service"], KUBERNETES[0], strict=True)


def test_every_selector_finds_the_pods_and_every_port_is_one_of_theirs(kinds: dict[str, Any], pod: Any) -> None:
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        kinds["Deployment"]["spec"]["selector"]["matchLabels"],
        kinds["Service"]["spec"]["selector"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    (container,) = pod["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": GATEWAY_PORT, "metrics": METRICS_PORT}
    used = [one["targetPort"] for one in kinds["Service"]["spec"]["ports"]]
    used += [port["port"] for rule in kinds["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    used += [container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")]
    assert set(used) <= set(ports)
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]


def test_pods_have_no_right_that_they_do_not_need(kinds: dict[str, Any], pod: Any) -> None:
    assert kinds["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "Secret" not in kinds
    assert all("secretKeyRef" in one["valueFrom"] for one in container["env"])


def test_an_update_takes_no_replica_away_before_its_successor_is_ready(kinds: dict[str, Any]) -> None:
    assert kinds["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert kinds["Deployment"]["spec"]["replicas"] == kinds["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_it_is_scaled_by_something_that_it_tells(kinds: dict[str, Any]) -> None:
    (metric,) = kinds["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"| `{name}` |" in (ROOT / "docs" / "deploy.md").read_text()


def test_a_pod_has_the_time_that_leaving_takes(kinds: dict[str, Any], pod: Any, tmp_path: Path) -> None:
    config = configured(kinds["ConfigMap"]["data"]["config.toml"], tmp_path)
    assert config.listen.metrics == f"0.0.0.0:{METRICS_PORT}"
    assert leaving_s(config) < pod["terminationGracePeriodSeconds"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert 2 * config.listen.memory_bytes < 2**30
    readiness = pod["containers"][0]["readinessProbe"]
    assert config.listen.notice_s is not None
    assert readiness["periodSeconds"] * readiness["failureThreshold"] <= config.listen.notice_s


# --- Compose --------------------------------------------------------------------------------------------------------


def test_the_compose_file_is_what_compose_takes(compose: Any) -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(compose)
    compose["services"]["gateway"]["replica"] = 3
    assert not validator.is_valid(compose)


def test_what_compose_names_is_there_and_its_gateways_have_the_time_that_leaving_takes(
    compose: Any, tmp_path: Path, pod: Any, kinds: dict[str, Any]
) -> None:
    mounted = [volume.split(":")[0] for one in compose["services"].values() for volume in one.get("volumes", ())]
    assert all((DEPLOY / path).is_file() for path in mounted if path.startswith("./"))
    gateway, config = compose["services"]["gateway"], configured((DEPLOY / "config.toml").read_text(), tmp_path)
    assert leaving_s(config) < float(gateway["stop_grace_period"].removesuffix("s"))
    assert served(config) == served(configured(kinds["ConfigMap"]["data"]["config.toml"], tmp_path))
    balancer = (DEPLOY / "haproxy.cfg").read_text()
    assert f"server-template gateway {gateway['deploy']['replicas']} gateway:{GATEWAY_PORT} check" in balancer
    assert subprocess.run(["git", "check-ignore", "-q", "deploy/secrets/any"], cwd=ROOT, check=False).returncode == 0


@pytest.mark.postgres
def test_replicas_of_it_keep_one_record_in_the_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    light = python("light")
    server = f"[servers.light]\ncommand = {json.dumps(light['command'])}\nargs = {json.dumps(light['args'])}\n\n["
    text = server + (DEPLOY / "config.toml").read_text().partition("\n[")[2].partition("\n[")[2]
    text = text.replace("0.0.0.0:9464", "127.0.0.1:0").replace("notice_s = 5", "notice_s = 0")
    path = tmp_path / "config.toml"
    with postgres.database() as url:
        path.write_text(re.sub(r'"postgresql:.*"', json.dumps(url), text))
        with OverHttp(path) as one, OverHttp(path) as other:
            for gateway in (one, other):
                with client_of(gateway) as client:
                    assert "result" in client.post("tools/call", {"name": "echo", "arguments": {"text": "hi"}}).text
                assert gateway.terminate() == 0
        assert run(["stats", "--json", "--config", str(path)]) == 0
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT replica FROM spec_mcp.replicas").fetchall() == []  # all have left
    assert json.loads(capsys.readouterr().out)["calls"] == 2


# --- the image ------------------------------------------------------------------------------------------------------


def test_the_dockerfile_has_nothing_that_a_linter_knows_better() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_and_what_runs_it_agree(pod: Any) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in dockerfile
    assert f"EXPOSE {GATEWAY_PORT} {METRICS_PORT}\n" in dockerfile
    mounts = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert {"/etc/spec-mcp", "/var/lib/spec-mcp", "/tmp"} == mounts
    copied = {word for line in re.findall(r"^COPY ([^-].*) \S+$", dockerfile, re.MULTILINE) for word in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("distribution")
def test_the_steps_of_the_image_make_a_gateway_that_starts_answers_its_probes_and_ends() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "rehearse_image.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("/readyz: 200", "HEALTHCHECK: healthy", "SIGTERM: not ready, then exit status 0"):
        assert said in done.stdout
