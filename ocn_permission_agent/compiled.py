"""Whether what runs is compiled: the wheel may be (`hatch_build.py`), an editable install never is."""

from importlib.util import find_spec

_ONE_OF_THEM = "ocn_permission_agent.proxy.short_way"


def is_compiled() -> bool:
    """Whether the modules that `pyproject.toml` names for it are extension modules here; all are, or none."""
    spec = find_spec(_ONE_OF_THEM)
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
