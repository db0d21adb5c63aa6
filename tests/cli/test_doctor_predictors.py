"""The doctor asks each configured model one short question, and says what came of it and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.cli.doctor import predictors
from tests.cli.manifests import tell
from tests.cli.test_doctor import of
from tests.servers.models import Behaviour, Fails, ModelServer, RefusesTheForm, Says, Waits

Capsys = pytest.CaptureFixture[str]

KEY = "sk-secret-0123456789"
ANSWER = Says.guesses(("get_weather", {"city": "Paris"}, 0.9))


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with ModelServer(lambda asked: ANSWER) as server:
        yield server


@pytest.fixture
def model(running: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    monkeypatch.setenv("MODEL_KEY", KEY)
    running.reset()
    return running


def found(home: Path, capsys: Capsys, url: str, more: str = "", options: str = "") -> list[dict[str, Any]]:
    """What is said of a model at this address."""
    home.mkdir(mode=0o700, exist_ok=True)
    table = f'kind = "openai"\nmodel = "tiny"\nbase_url = "{url}"\napi_key_env = "MODEL_KEY"\n{more}\n'
    (home / "config.toml").write_text(f"[predictors.small]\n{table}")
    told = tell(f"doctor --json {options}", None, capsys)
    assert KEY not in told.out + told.err
    findings = of(told.object["findings"], "Predictors")
    assert told.status == any(finding["level"] == "wrong" for finding in findings)
    return findings


@pytest.mark.parametrize("behaviour", [ANSWER, RefusesTheForm(ANSWER)], ids=["in a form", "in words"])
def test_a_model_is_asked_once_and_its_time_and_price_are_said(
    spec_mcp_home: Path, capsys: Capsys, model: ModelServer, behaviour: Behaviour
) -> None:
    model.then(behaviour, behaviour)
    prices = "price_input = 1.0\nprice_output = 100.0\ntimeout_s = 20.0"
    answered, unasked = found(spec_mcp_home, capsys, model.url, prices)
    assert answered["level"] == "ok"
    assert answered["text"].startswith("small: tiny answers in ")
    assert answered["facts"]["input_tokens"] == 1000
    assert answered["facts"]["price"] == pytest.approx((1000 * 1 + 50 * 100) / 1e6)
    assert 0 < answered["facts"]["took_s"] < 20
    assert len(model.asked) == (1 if behaviour is ANSWER else 2)
    assert len(model.asked[0].prefix) + len(model.asked[0].suffix) < 3_000
    assert "price_per_hour_saved" in unasked["mend"], "at this price it is never asked"


@pytest.mark.parametrize(
    ("behaviour", "text", "mend"),
    [
        (Fails(401, "bad key {key}"), "status 401: ", "check the key in MODEL_KEY"),
        (Fails(404, "model 'tiny' not found"), "'tiny' not found", "check `model`, 'tiny', and base_url"),
        (Fails(400, "no such model"), "no such model", "check `model`, 'tiny', and base_url"),
        (Fails(429), "status 429", "see what your account may use"),
        (Fails(503), "status 503", "try it again later"),
        (Waits(), "no answer in 0.2 s", "see whether its server has the model loaded"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_model_is_said_with_what_to_do(
    spec_mcp_home: Path,
    capsys: Capsys,
    model: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Behaviour,
    text: str,
    mend: str,
) -> None:
    if isinstance(behaviour, Waits):
        monkeypatch.setattr(predictors, "PATIENCE_S", 0.2)
    model.then(behaviour)
    wrong = found(spec_mcp_home, capsys, model.url)[0]
    assert wrong["level"] == "wrong"
    assert text in wrong["text"]
    assert model.url in wrong["text"]
    assert mend in wrong["mend"]
    assert len(model.asked) == 1


def test_a_model_that_is_not_there_or_not_usable_is_wrong(spec_mcp_home: Path, capsys: Capsys) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_KEY", KEY)
        wrong = found(spec_mcp_home, capsys, "http://127.0.0.1:9/v1")[0]
        assert wrong["text"] == "small: http://127.0.0.1:9/v1: connection refused"
        assert wrong["mend"] == "start its server, or check base_url"
        wrong = found(spec_mcp_home, capsys, "localhost")[0]
        assert wrong["text"] == "small: base_url 'localhost' is no address"
        assert wrong["mend"].startswith("write it as http://")


def test_an_answer_that_comes_too_late_or_holds_no_guesses_is_a_note(
    spec_mcp_home: Path, capsys: Capsys, model: ModelServer
) -> None:
    model.then(Says("Paris, I think"))
    answered, formless, slow = found(spec_mcp_home, capsys, model.url, "timeout_s = 0.00001")
    assert [each["level"] for each in (answered, formless, slow)] == ["ok", "note", "note"]
    assert "no JSON object" in formless["text"]
    assert "longer than its timeout_s" in slow["text"]
    assert "smaller model" in slow["mend"]


def test_nothing_is_sent_where_the_mode_is_off_or_nothing_is_to_be_started(
    spec_mcp_home: Path, capsys: Capsys, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    [note] = found(spec_mcp_home, capsys, model.url, options="--no-start")
    assert note["text"] == "small: not asked: --no-start was given"
    monkeypatch.setenv("SPEC_MCP_MODE", "off")
    [note] = found(spec_mcp_home, capsys, model.url)
    assert note["text"] == "small: not asked: the mode is off"
    monkeypatch.delenv("MODEL_KEY")
    [note] = found(spec_mcp_home, capsys, model.url)
    assert "MODEL_KEY, which holds its key, is not set here" in note["text"]
    assert model.asked == []
