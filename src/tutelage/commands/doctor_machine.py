"""What this machine has, what is missing, and the command that installs it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from tutelage import __version__
from tutelage.environment import host_facts
from tutelage.train.compute import ComputeConfig, resolve_precision

MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn"}


class Finding(NamedTuple):
    """One line of the doctor's report."""

    part: str
    name: str
    value: str
    state: Literal["good", "absent", "broken"] = "good"
    remedy: str = ""


def examine_machine() -> list[Finding]:
    """All that can be said; of the devices only if what tutelage needs is there."""
    findings = [*packages(), *extras()]
    return findings if is_broken(findings) else [*findings, *machine(), *settings()]


def is_broken(findings: list[Finding]) -> bool:
    """Whether something is missing that tutelage needs."""
    return any(finding.state == "broken" for finding in findings)


def packages() -> Iterator[Finding]:
    """tutelage, Python and every package that tutelage needs."""
    yield Finding("versions", "tutelage", __version__)
    yield Finding("versions", "python", platform.python_version())
    for requirement in requires("tutelage") or ():
        if "extra ==" not in requirement:
            yield needed(requirement)


def needed(requirement: str) -> Finding:
    """Whether a package is installed, new enough and can be imported."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    remedy = f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return Finding("versions", wanted.name, "not installed", "broken", remedy)
    if not wanted.specifier.contains(found, prereleases=True):
        value = f"{found}, but {wanted.specifier} is needed"
        return Finding("versions", wanted.name, value, "broken", remedy)
    try:
        import_module(MODULES.get(wanted.name, wanted.name.replace("-", "_")))
    except Exception as error:
        value = f"{found}, but its import fails: {error}"
        return Finding("versions", wanted.name, value, "broken", f"{remedy} --force-reinstall")
    return Finding("versions", wanted.name, found)


def extras() -> Iterator[Finding]:
    """Packages that only some features need, such as trackers."""
    from packaging.requirements import Requirement

    for wanted in map(Requirement, requires("tutelage") or ()):
        extra = str(wanted.marker).partition("extra == ")[2].strip("\"'")
        if extra and extra != "dev":
            try:
                yield Finding("extras", wanted.name, version(wanted.name))
            except PackageNotFoundError:
                remedy = f"pip install 'tutelage[{extra}]'"
                yield Finding("extras", wanted.name, "not installed", "absent", remedy)


def machine() -> Iterator[Finding]:
    """Processor, accelerators, memory, disk, and the precision that `auto` picks here."""
    import psutil
    import torch

    facts = host_facts()
    sets = {
        "AVX2": torch.cpu._is_avx2_supported(),
        "AVX-512": torch.cpu._is_avx512_supported(),
        "AVX-512 BF16": torch.cpu._is_avx512_bf16_supported(),
        "AMX": torch.cpu._is_amx_tile_supported(),
    }
    named = ", ".join(name for name, has in sets.items() if has)
    yield Finding("devices", "processor", f"{facts['processor']}, {facts['cores']} cores")
    yield Finding("devices", "instruction sets", named or platform.machine())
    yield Finding("devices", "torch threads", str(torch.get_num_threads()))
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        value = f"{gpu.name}, {_gib(gpu.total_memory)}"
        yield Finding("devices", f"cuda:{index}", value)
    if not torch.cuda.is_available():
        build = "this torch is built without CUDA" if torch.version.cuda is None else "none found"
        yield Finding("devices", "cuda", build, "absent")
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", _gib(torch.mps.recommended_max_memory()))
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    precision = resolve_precision(ComputeConfig(), device)
    yield Finding("devices", "precision auto", f"{precision} on {device.type}")
    memory = psutil.virtual_memory()
    yield Finding("room", "memory", f"{_gib(memory.available)} free of {_gib(memory.total)}")
    disk = shutil.disk_usage(".")
    yield Finding("room", "disk here", f"{_gib(disk.free)} free of {_gib(disk.total)}")


def settings() -> Iterator[Finding]:
    """What is set for the hub and for Accelerate; no secret is shown, nothing is contacted."""
    from accelerate.commands.config.config_args import default_config_file
    from huggingface_hub import constants, get_token

    if get_token():
        yield Finding("settings", "hub token", "set")
    else:
        yield Finding("settings", "hub token", "none", "absent", "hf auth login")
    offline = "yes (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else "no"
    yield Finding("settings", "hub offline", offline)
    if Path(default_config_file).is_file():
        yield Finding("settings", "accelerate config", str(default_config_file))
    else:
        yield Finding("settings", "accelerate config", "none", "absent", "accelerate config")
    accelerate = sorted(name for name in os.environ if name.startswith("ACCELERATE_"))
    yield Finding("settings", "accelerate variables", ", ".join(accelerate) or "none")


def _gib(num_bytes: int) -> str:
    """A number of bytes for people."""
    return f"{num_bytes / 2**30:.1f} GiB"
