"""What is logged of errors and people."""

import json
import logging

import pytest
import structlog

from infra.telemetry import REGISTRY, configure_logging, describe_error, mask, metrics

CANARY = "+14155550199"


@pytest.fixture(autouse=True)
def _logging_as_before() -> object:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize("error", [KeyError(CANARY), ValueError(CANARY), OSError(CANARY), LookupError(CANARY)])
def test_texts_of_errors_that_hold_values_are_left_out(error: Exception) -> None:
    told = describe_error(_raised(error))
    assert told.startswith(type(error).__name__)
    assert "test_telemetry.py" in told
    assert CANARY not in told


def test_texts_of_errors_about_the_code_are_kept() -> None:
    assert "nothing here" in describe_error(_raised(AttributeError("nothing here")))


def test_groups_tell_their_parts() -> None:
    told = describe_error(_raised(ExceptionGroup("two", [_raised(KeyError(CANARY)), _raised(TypeError("odd"))])))
    assert "KeyError" in told
    assert "odd" in told
    assert CANARY not in told


def test_personal_data_is_masked_under_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="INFO", json=True)
    structlog.get_logger().info("call", **{"pii.from": CANARY, "queue": "support"})
    line = json.loads(capsys.readouterr().err)
    assert line["pii.from"] == mask(CANARY) == "+14*******99"
    assert line["queue"] == "support"


def test_hostile_text_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="INFO", json=True)
    hostile = "a\r\nERROR forged\x1b[2J\u2028b"
    structlog.get_logger().warning("odd", value=hostile)
    logging.getLogger("library").warning("odd %s", hostile)
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 3, "the U+2028 of the library's line splits in Python only"
    assert "\nERROR" not in text


def test_errors_in_libraries_logs_hold_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="INFO", json=True)
    structlog.get_logger().exception("failed", exc_info=_raised(KeyError(CANARY)))
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("library").exception("failed")
    text = capsys.readouterr().err
    assert text.count("Error") >= 2
    assert CANARY not in text


def test_no_metric_has_an_open_label() -> None:
    """Ids, numbers and names as labels would fill the store and tell about people."""
    allowed = {"route", "method", "status", "endpoint", "result", "outcome", "queue", "reason", "kind"}
    allowed |= {"consumer", "part", "pool", "version"}
    allowed |= {
        "level",
        "code",
    }  # of the provider's errors: two levels, and the codes of `cti.provider_errors.KNOWN_CODES`
    declared = {name for metric in vars(metrics).values() for name in getattr(metric, "_labelnames", ())}
    assert declared <= allowed
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} <= allowed, metric.name
