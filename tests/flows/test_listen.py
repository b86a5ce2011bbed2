"""`curaloop listen` as a process: it says its port, takes files, refuses strangers, and ends cleanly when it is told to."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curation.errors import RecipeError, UsageError
from flows.receive_files import listen_settings
from tests.curation.dicom_builders import a_series
from tests.services import need_program

BIN = Path(sys.executable).parent


@pytest.mark.service
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_receives_until_it_is_told_to_stop(tmp_path: Path, end: signal.Signals) -> None:
    """Without a project; exit code 0, and no half file stays."""
    need_program("/usr/bin/storescu", "dcmtk")
    paths = a_series(tmp_path / "scan")
    command = [str(BIN / "curaloop"), "listen", "inbox", "--allow", "SCANNER", "--allow", "OTHER", "--port", "0", "--ae-title", "TRAINING"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        port = re.search(r"127\.0\.0\.1 port (\d+) as TRAINING; may send: SCANNER, OTHER", said)
        assert port is not None, said
        for title, code in (("SCANNER", 0), ("STRANGER", 1)):
            send = ["/usr/bin/storescu", "-aet", title, "-aec", "TRAINING", "127.0.0.1", port[1], *map(str, paths)]
            assert subprocess.run(send, capture_output=True, check=False, timeout=60).returncode == code
        process.send_signal(end)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "5 files received, 0 sent again, 1 callers turned away" in out
    assert "'STRANGER'" in err
    assert len(list((tmp_path / "inbox").rglob("*.dcm"))) == 5
    assert not list((tmp_path / "inbox").glob("receiving*"))


def test_the_recipe_says_who_may_send_and_options_win(tmp_path: Path) -> None:
    """Paths of the recipe are relative to it."""
    (tmp_path / "curaloop.toml").write_text('[dataset]\nname = "x"\n[listen]\ninbox = "arrivals"\nallow = ["CT_1"]\nport = 104\n')
    settings = listen_settings(tmp_path, None, {"allow": (), "ae_title": None, "host": None, "port": None})
    assert (settings.inbox, settings.allow, settings.port) == (tmp_path / "arrivals", ("CT_1",), 104)
    settings = listen_settings(tmp_path, Path("here"), {"allow": ("A", "B"), "port": 0})
    assert (settings.inbox, settings.allow, settings.port) == (tmp_path / "here", ("A", "B"), 0)
    with pytest.raises(UsageError, match="--ae-title: an AE title is"):
        listen_settings(tmp_path, None, {"ae_title": "much too long for a title"})
    (tmp_path / "curaloop.toml").write_text('[dataset]\nname = "x"\n[listen]\nallow = ["back\\\\slash"]\n')
    with pytest.raises(RecipeError, match=r"listen\.allow"):
        listen_settings(tmp_path, None, {})
