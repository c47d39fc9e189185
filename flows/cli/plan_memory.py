"""`aura plan-memory`: who holds how much of a GPU, before anything is loaded."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile
from inference.gpu_memory import GB, GpuMemorySettings, memory_plan


def plan_memory(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Show who holds how much of one GPU's memory, and refuse what does not fit.

    Computed from `serving.gpu_memory`, whose defaults are the models of the profile `production`; nothing is loaded.
    """
    settings = load_profile(profile, overrides or ()).serving.gpu_memory or GpuMemorySettings()
    plan = memory_plan(settings)
    table = Table("holder", "GB", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, held in plan.holders.items():
        table.add_row(name, f"{held / GB:.2f}")
    table.add_section()
    table.add_row("together", f"{plan.total / GB:.2f}")
    table.add_row("available", f"{plan.available / GB:.2f}")
    Console().print(table)
    plan.check()
