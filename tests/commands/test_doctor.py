import json
import platform
from pathlib import Path

import pytest

from tutelage import __version__, cli
from tutelage.commands.doctor_machine import needed, settings


def broken_package(folder: Path, name: str, body: str) -> None:
    """An installed package whose import runs `body`."""
    (folder / f"{name}.py").write_text(body)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_a_sound_machine_exits_with_0_and_says_what_it_has(capsys):
    """X-8."""
    assert cli.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert report["ok"]
    assert found["tutelage"]["value"] == __version__
    assert found["python"]["value"] == platform.python_version()
    assert {"torch", "transformers", "accelerate", "processor", "precision auto"} <= set(found)
    assert {"memory", "disk here", "hub token", "accelerate config"} <= set(found)
    assert "pytest" not in found
    for finding in found.values():
        assert (finding["part"] == "extras") <= (
            finding["state"] == "good"
            or finding["remedy"] == f"pip install 'tutelage[{finding['name']}]'"
        )


def test_the_table_shows_every_finding_and_its_remedy(capsys, monkeypatch):
    """X-8."""
    monkeypatch.setenv("COLUMNS", "200")
    cli.main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert cli.main(["doctor"]) == 0
    table = capsys.readouterr().out
    for finding in findings:
        assert finding["name"] in table
        assert finding["remedy"] in table


@pytest.mark.parametrize(
    ("requirement", "value", "remedy"),
    [
        ("no-such-thing>=2", "not installed", "pip install 'no-such-thing>=2'"),
        ("rich>=99", "but >=99 is needed", "pip install 'rich>=99'"),
    ],
)
def test_what_is_missing_or_too_old_is_broken_and_has_a_remedy(requirement, value, remedy):
    """X-8."""
    finding = needed(requirement)
    assert finding.state == "broken"
    assert finding.value.endswith(value)
    assert finding.remedy == remedy


def test_a_package_that_does_not_import_is_broken(tmp_path, monkeypatch):
    """X-8."""
    broken_package(tmp_path, "halfdone", "raise OSError('libhalf.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    finding = needed("halfdone>=1")
    assert finding.state == "broken"
    assert finding.value == "1.0, but its import fails: libhalf.so is missing"
    assert needed("rich>=15").state == "good"


def test_a_broken_machine_exits_with_1_and_still_reports(tmp_path, monkeypatch, capsys):
    """X-8."""
    broken_package(tmp_path, "psutil", "")
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["doctor"]) == 1
    table = " ".join(capsys.readouterr().out.split())
    assert "1.0, but <8,>=7 is needed. To mend: pip install 'psutil<8,>=7'" in table


def test_a_token_is_told_but_never_shown(monkeypatch, capsys):
    """X-8."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert [finding.value for finding in settings() if finding.name == "hub token"] == ["set"]
    cli.main(["doctor", "--json"])
    assert "hf_secret" not in capsys.readouterr().out
