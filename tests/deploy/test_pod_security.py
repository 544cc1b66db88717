"""The pods that the chart renders, against the profile "restricted" of the Pod Security Standards and what goes beyond it."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.deploy.charts import SETS, objects, of_kind, rendered
from tests.deploy.tools import run, tool

VOLUMES = {"configMap", "secret", "projected", "downwardAPI", "emptyDir", "ephemeral", "csi", "persistentVolumeClaim"}
SKIPPED = {
    "CKV_K8S_11": "a CPU limit throttles, and throttling is latency of orders",
    "CKV_K8S_8": "the pod of helm test runs once",
    "CKV_K8S_9": "the pod of helm test runs once",
    "CKV2_K8S_6": "the NetworkPolicy is the daemon's; the pod of helm test only asks it",
    "CKV_K8S_43": "the digest is the operator's: ci/live-values.yaml shows it",
    "CKV_K8S_15": "with a digest or a fixed tag there is nothing to fetch again",
    "CKV_K8S_14": "the tag is the chart's appVersion",
}


def pods(values: str) -> Iterator[dict[str, Any]]:
    for one in objects(values):
        if one["kind"] == "Pod":
            yield one["spec"]
        elif one["kind"] == "StatefulSet":
            yield one["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"], *pod.get("ephemeralContainers", ())]


def breaches(pod: dict[str, Any]) -> list[str]:
    """Return what of the profile a pod does not keep, in the words of the standard."""
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC", "hostUsers") if pod.get(field)]
    whole = pod.get("securityContext", {})
    found += ["sysctls"] if whole.get("sysctls") else []
    found += ["volume types"] if any(set(one) - {"name"} - VOLUMES for one in pod.get("volumes", ())) else []
    for one in containers(pod):
        own = {**whole, **one.get("securityContext", {})}
        rules = {
            "runAsNonRoot": own.get("runAsNonRoot") is True,
            "runAsUser": own.get("runAsUser", 0) > 10_000,
            "seccompProfile": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not own.get("privileged"),
            "procMount": own.get("procMount", "Default") == "Default",
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            "hostPort": not any(port.get("hostPort") for port in one.get("ports", ())),
            "probe host": not any("host" in probe.get("httpGet", {}) for name, probe in one.items() if "Probe" in name),
            "memory limit": one["resources"]["limits"]["memory"] == one["resources"]["requests"]["memory"],
            "cpu limit": "cpu" not in one["resources"]["limits"],
        }
        found += [name for name, holds in rules.items() if not holds]
    found += ["token"] if pod.get("automountServiceAccountToken") is not False else []
    found += ["service links"] if pod.get("enableServiceLinks") is not False else []
    return found


@pytest.mark.parametrize("values", SETS)
def test_every_pod_keeps_the_restricted_profile(values: str) -> None:
    every = list(pods(values))
    assert len(every) == 2
    assert [breaches(pod) for pod in every] == [[], []]


def _container(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda pod: pod["containers"][0]["securityContext"].__setitem__(field, value)


def _pod(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda pod: pod.__setitem__(field, value)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_pod("hostNetwork", True), "hostNetwork"),
        (_pod("volumes", [{"name": "x", "hostPath": {"path": "/"}}]), "volume types"),
        (_pod("automountServiceAccountToken", True), "token"),
        (_pod("initContainers", [{"name": "x", "resources": {"limits": {"memory": 1}, "requests": {"memory": 1}}}]), "capabilities"),
        (_container("capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}), "capabilities"),
        (_container("runAsUser", 0), "runAsUser"),
        (_container("readOnlyRootFilesystem", False), "readOnlyRootFilesystem"),
        (_container("privileged", True), "privileged"),
    ],
)  # fmt: skip
def test_a_planted_breach_is_told(plant: Callable[[dict[str, Any]], None], told: str) -> None:
    pod = deepcopy(next(pods("default")))
    plant(pod)
    assert told in breaches(pod)


def test_one_writer_by_construction() -> None:
    for values in SETS:
        daemon = of_kind("StatefulSet", values)["spec"]
        assert daemon["replicas"] == 1
        assert daemon["podManagementPolicy"] == "Parallel", "a pod that is not ready must be replaced by an upgrade"
        (claim,) = daemon["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
        assert daemon["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_probes_of_life_ask_for_nothing_outside_and_the_end_has_its_time() -> None:
    from quantd.app.ending import SETTLE_S
    from quantd.runtime.watchdog import STALLED_S

    pod = of_kind("StatefulSet", "default")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for name in ("startupProbe", "livenessProbe"):
        assert container[name]["httpGet"]["path"] == "/livez"
    alive = container["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 2 * STALLED_S, "after the daemon's own watchdog"
    assert pod["terminationGracePeriodSeconds"] >= 5 * SETTLE_S


def test_no_secret_stands_in_what_is_rendered_and_each_is_a_reference() -> None:
    kinds = {one["kind"] for values in SETS for one in objects(values)}
    assert "Secret" not in kinds
    pod = of_kind("StatefulSet", "live")["spec"]["template"]["spec"]
    (mounted,) = [one for one in pod["volumes"] if "secret" in one]
    assert mounted["secret"] == {"secretName": "ionloop-keys", "defaultMode": 0o440}
    assert not any("valueFrom" in one for one in pod["containers"][0]["env"])


def test_the_network_policy_denies_all_but_what_is_needed() -> None:
    policy = of_kind("NetworkPolicy", "live")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (scrape,) = policy["ingress"]
    assert scrape["ports"] == [{"protocol": "TCP", "port": "health"}]
    names, venues = policy["egress"]
    assert {one["port"] for one in names["ports"]} == {53}
    assert venues == {"ports": [{"protocol": "TCP", "port": 443}], "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Any) -> None:
    path = tmp_path / "live.yaml"
    path.write_text(rendered("live"))
    arguments = ("--framework", "kubernetes", "--skip-download", "--compact", "--quiet")
    run(tool("checkov"), "-f", str(path), *arguments, "--skip-check", ",".join(SKIPPED), timeout_s=100)
    worse = yaml.safe_load_all(
        rendered("live").replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
    )
    path.write_text(yaml.safe_dump_all(one for one in worse if one))
    run(tool("checkov"), "-f", str(path), *arguments, "--skip-check", ",".join(SKIPPED), expect=1, timeout_s=100)
