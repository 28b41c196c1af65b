"""A machine that is busy with something else shows the right thing later, not a wrong one."""

from playwright.sync_api import expect

expect.set_options(timeout=20_000)
