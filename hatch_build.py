"""Compiles what every request, and every delivery, goes through with mypyc, for a wheel that is asked to be compiled.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip wheel --no-deps .

Which modules, `pyproject.toml` tells. Their sources stay in the wheel; Python prefers the extension module beside one.
Whoever asks without a C compiler gets an error, not a slow wheel. Nothing is written into the folder of the sources.
"""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledBuild(BuildHookInterface[Any]):
    """Puts extension modules into a wheel."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling; an editable install stays as it is.

        Raises:
            RuntimeError: there is no C compiler.
        """
        if version == "editable":
            return
        missing = what_is_missing()
        if missing is not None:
            raise RuntimeError(f"a compiled wheel needs {missing}")
        self._folder = Path(tempfile.mkdtemp(prefix="compiled-"))
        for built in _compile(self.config["modules"], self._folder):
            build_data["force_include"][str(built)] = built.relative_to(self._folder / "lib").as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """See hatchling."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


def what_is_missing() -> str | None:
    """What this machine would need for compiling; None if it has all."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"a C compiler ({compiler})"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return None if header.is_file() else f"Python's headers ({header})"


def _compile(modules: list[str], folder: Path) -> list[Path]:
    """The extension modules, and the library with the code of all; in `folder`/lib."""
    # only for a compiled wheel: nobody else has these
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    extensions = mypycify(
        [f"{name.replace('.', '/')}.py" for name in modules],
        opt_level="2",
        debug_level="0",
        multi_file=True,  # quicker by as many cores as there are
        group_name="ocn_permission_agent",
        target_dir=str(folder / "c"),
    )
    command = build_ext(Distribution({"name": "ocn-permission-agent", "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()
    return [Path(path) for path in command.get_outputs()]
