from tests.houses import build

__all__ = ["build"]
