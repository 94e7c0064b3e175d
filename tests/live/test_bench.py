"""`scripts/bench` works. What it measures is never judged here: a machine may be slow, or busy."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from scripts import bench
from tests.command_runner import run_here
from tests.live.proxy import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the script reads /proc")

TIMES = {"first_frame", "first_frame_new", "unstreamed"}
LAGS = {"lag_median", "lag_p99", "lag_lost", "crowd_median", "crowd_p99", "crowd_lost"}
RATES = {"rate_1", "rate_16", "rate_64"}
SCALE = {f"scale_{kind}_{number}" for kind in ("median", "p99") for number in (10, 20)}
SCALE |= {"messages_2", "messages_20", "tools_1", "tools_3"}
PATHS = {"passed_p99", "arguments_p99", "cpu_passed", "cpu_arguments"}
PROCESS = {"scale_cpu_10", "scale_cpu_20", "cpu", "cpu_paced", "memory_stream", "memory_early", "memory_late", "start_up"}
FLOOR = TIMES | LAGS | RATES | SCALE | {"cpu_load"}
PROXY = FLOOR | PROCESS | {f"added_{name}" for name in TIMES}
FIX_FLOOR = {"first_byte", "rate_16", "lag_median", "lag_p99", "lag_lost", "cpu_load"}
FIX_PROXY = FIX_FLOOR | {"added_first_byte", "cpu", "cpu_paced", "memory_stream", "start_up"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """The JSON, the chart and the text of one quick run."""
    folder = tmp_path_factory.mktemp("bench")
    ended = run("--quick", "--json", str(folder / "run.json"), "--svg", str(folder / "run.svg"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads((folder / "run.json").read_text()), (folder / "run.svg").read_text(), ended.stdout


@pytest.mark.nightly
def test_every_contestant_has_every_measure(files: tuple[dict[str, Any], str, str]) -> None:
    found = {name: set(measures) for mode in files[0]["results"].values() for name, measures in mode.items() if name != "nginx"}
    assert found == {
        "direct": FLOOR,
        "console": PROXY | PATHS,
        "mitmdump": PROXY | PATHS,
        "reference": PROXY,
        "fix-direct": FIX_FLOOR,
        "fix-console": FIX_PROXY,
    }


@pytest.mark.nightly
@pytest.mark.skipif(not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()), reason="needs nginx")
def test_nginx_is_measured_where_it_is_installed(files: tuple[dict[str, Any], str, str]) -> None:
    assert set(files[0]["results"]["fix"]["nginx"]) == FIX_PROXY


@pytest.mark.nightly
def test_no_answer_is_lost_and_every_figure_is_there(files: tuple[dict[str, Any], str, str]) -> None:
    run_of_bench = files[0]
    assert [note for note in run_of_bench["notes"] if "nginx" not in note] == []
    for mode in run_of_bench["results"].values():
        for measures in mode.values():
            assert measures["rate_16"]["median"] > 0
            assert all(len(figure["values"]) == 1 for figure in measures.values())


@pytest.mark.nightly
def test_each_target_is_told_with_its_value(files: tuple[dict[str, Any], str, str]) -> None:
    targets = files[0]["targets"]
    named = {(target["contestant"], target["text"]) for target in targets}
    assert ("console", "frames/s at 16 streams, to the reference's") in named
    assert len(targets) >= 11
    assert all(target["met"] == met(target) for target in targets)
    for target in targets:
        assert re.search(
            rf"^\| {re.escape(target['text'])} +\| +{target['contestant']} \|.*\| +(yes|NO) \|$", files[2], re.MULTILINE
        )


def met(target: dict[str, Any]) -> bool:
    return bool(target["median"] >= target["limit"] if target["at_least"] else target["median"] <= target["limit"])


@pytest.mark.nightly
def test_the_chart_shows_every_proxy_of_translate_mode(files: tuple[dict[str, Any], str, str]) -> None:
    chart = ElementTree.fromstring(files[1])
    texts = [element.text for element in chart.iter("{http://www.w3.org/2000/svg}text")]
    panels = texts.count("console")
    assert panels == texts.count("mitmdump") == texts.count("reference") == 6


def test_contestants_and_measures_can_be_chosen_and_added(tmp_path: Path) -> None:
    other = shlex.join([sys.executable, str(ROOT / "scripts/benchmark/reference.py")])
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- bench: translate -->\nold\n<!-- end -->\n<!-- bench: fix -->\nkept\n<!-- end -->\n")
    arguments = ("--quick", "--rounds", "2", "--only", "another", "--command", f"another={other}", "--measures", "times")
    ended = run(*arguments, "--json", str(tmp_path / "run.json"), "--page", str(page))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads((tmp_path / "run.json").read_text())["results"]
    assert {mode: set(names) for mode, names in results.items()} == {"translate": {"direct", "another"}}
    assert len(results["translate"]["another"]["first_frame"]["values"]) == 2
    assert "rate_16" not in results["translate"]["another"]
    table = r"\| +\| +direct \| +another \|\n.*\| first frame, 1 stream, ms +\|.*\|"
    frame = "above\n<!-- bench: translate -->\n{}\n<!-- end -->\n<!-- bench: fix -->\nkept\n<!-- end -->\n"
    assert re.fullmatch(frame.format(table), page.read_text(), re.DOTALL)


def test_a_contestant_that_does_not_start_is_told_with_what_it_said() -> None:
    broken = shlex.join([sys.executable, "-c", "raise SystemExit('no such luck')"])
    ended = run("--quick", "--only", "broken", "--command", f"broken={broken}")
    assert ended.returncode == 1
    assert "broken does not start" in ended.stderr
    assert "no such luck" in ended.stderr


@pytest.mark.parametrize(
    "wrong",
    [("--rounds", "0"), ("--measures", "beauty"), ("--command", "x"), ("--unknown",)],
)
def test_a_wrong_argument_is_refused(wrong: tuple[str, ...]) -> None:
    status, _, complaint = run_here(bench.main, *wrong)
    assert status == 2
    assert "usage: scripts/bench" in complaint


def test_an_unknown_contestant_is_refused() -> None:
    status, _, complaint = run_here(bench.main, "--only", "nobody")
    assert status == 1
    assert "there is no contestant nobody" in complaint
