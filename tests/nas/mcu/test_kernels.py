"""The kernels' own logarithm and square root, where no library gives one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np

from edgetune_nas.mcu.host import FLAGS, KERNELS

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
#include <stdio.h>
#include "edgetune_kernels.h"
int main(void)
{
    float x;
    while (fread(&x, sizeof x, 1U, stdin) == 1U) {
        const float found[2] = {edgetune_log(x), edgetune_root(x)};
        (void)fwrite(found, sizeof found, 1U, stdout);
    }
    return 0;
}
"""


def test_logarithm_and_root_are_as_exact_as_they_say(tmp_path: Path, host_compiler: str) -> None:
    (tmp_path / "main.c").write_text(PROGRAM)
    sources = [tmp_path / "main.c", KERNELS / "edgetune_kernels.c"]
    subprocess.run([host_compiler, *FLAGS, f"-I{KERNELS}", *sources, "-o", tmp_path / "main"], check=True)
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-40, 40, 200_000)).astype(np.float32)
    x[:2000] = np.round(x[:2000]).clip(1)  # squares among them

    found = subprocess.run([tmp_path / "main"], input=x.tobytes(), check=True, capture_output=True).stdout
    log, root = np.frombuffer(found, np.float32).reshape(-1, 2).T

    exact = np.log(x.astype(np.float64))
    assert np.all(np.abs(log - exact) <= 3 * np.spacing(np.abs(exact).astype(np.float32)).clip(2**-24))
    np.testing.assert_array_equal(root, np.sqrt(x))
