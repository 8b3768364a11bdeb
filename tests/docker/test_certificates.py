"""The script that makes the plant's authority and its broker's certificate keeps what is good and renews the rest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "broker" / "certificates.sh"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on PATH")


def make(folder: Path, *names: str, code: int = 0, **settings: int) -> str:
    """Run the script, with some of its settings changed; give what it says."""
    text = SCRIPT.read_text()
    for name, days in settings.items():
        (old,) = (word for word in text.split() if word.startswith(f"{name}="))
        text = text.replace(old, f"{name}={days}")
    done = subprocess.run(
        ["sh", "-c", text, str(SCRIPT), str(folder), *names], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=300, check=True
    ).stdout


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def trusted(folder: Path, *names: str) -> bool:
    """Whether a client with the authority's certificate believes the broker, by each of its names."""
    broker = folder / "broker" / "broker.crt"
    shown = openssl("verify", "-x509_strict", "-CAfile", folder / "ca" / "ca.crt", broker)
    for name in names:
        check = "-checkip" if name[0].isdigit() or ":" in name else "-checkhost"
        assert "does match" in openssl("x509", "-in", broker, "-noout", check, name)
    return shown.endswith("OK\n")


def test_the_broker_is_believed_by_all_its_names_and_the_keys_are_for_their_owners(tmp_path: Path) -> None:
    said = make(tmp_path, "pi5.local", "192.0.2.7", "fd00::7")
    assert trusted(tmp_path, "broker", "localhost", "127.0.0.1", "pi5.local", "192.0.2.7", "fd00::7")
    assert "the authority is good until" in said
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in contents(tmp_path)}
    assert {name for name, mode in modes.items() if mode & 0o077} == {"ca/ca.crt"}
    assert modes["ca/ca.crt"] == 0o644


def test_running_it_again_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, "pi5.local")
    made = contents(tmp_path)
    assert "made" not in make(tmp_path, "pi5.local")
    assert contents(tmp_path) == made


@pytest.mark.parametrize("broken", ["broker/broker.crt", "broker/names"])
def test_another_name_an_end_that_is_near_or_a_lost_file_renews_the_broker_under_the_same_authority(
    tmp_path: Path, broken: str
) -> None:
    make(tmp_path, broker_days=30)
    soon, authority = contents(tmp_path)["broker/broker.crt"], contents(tmp_path)["ca/ca.crt"]
    make(tmp_path)
    renewed = contents(tmp_path)["broker/broker.crt"]
    assert renewed != soon
    make(tmp_path, "pi5.local")
    assert contents(tmp_path)["broker/broker.crt"] != renewed
    (tmp_path / broken).unlink()
    make(tmp_path, "pi5.local")
    assert trusted(tmp_path, "pi5.local")
    assert contents(tmp_path)["ca/ca.crt"] == authority


def test_an_authority_made_anew_makes_the_broker_one_of_its_own(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "authority" / "ca.key").unlink()
    assert "made an authority" in make(tmp_path)
    assert trusted(tmp_path)


def test_an_authority_near_its_end_is_told_and_one_that_has_ended_stops_the_start(tmp_path: Path) -> None:
    make(tmp_path, authority_days=30)
    assert "give all clients the new ca.crt" in make(tmp_path)
    key, ca = tmp_path / "authority" / "ca.key", tmp_path / "ca" / "ca.crt"
    openssl("x509", "-in", ca, "-signkey", key, "-days", "-1", "-out", ca)
    assert "give all clients the new ca.crt" in make(tmp_path, code=1)


@pytest.mark.parametrize("name", ["two words", "a;b", "$(id)", "x,IP:192.0.2.1", ""])
def test_what_is_no_name_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    assert "neither a host name nor an address" in make(tmp_path, name, code=2)
    assert contents(tmp_path) == {}
