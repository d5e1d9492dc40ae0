"""One arithmetic in two languages: Terraform's module and the calculator agree on a grid."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from aws import Tree, succeeded, terraform
from process_model.sizing import MEASURED, MIB, Model, database_connections, memory, smallest_limits

GRID = list(
    itertools.product(
        [1, 2, 3, 5],  # workers
        [1, 8, 10, 24],  # threads
        [None, 32],  # slots
        [0, 1],  # heavy slots
        [5, 25],  # MiB of a heavy answer
        [False, True],  # preload
        [1, 5],  # replicas
    )
)
CALLER = """
module "sizing" {
  source   = "%s"
  for_each = { for index, point in jsondecode(file("${path.module}/grid.json")) : index => point }

  workers           = each.value[0]
  threads           = each.value[1]
  slots             = each.value[2]
  heavy_slots       = each.value[3]
  heavy_payload_mib = each.value[4]
  preload           = each.value[5]
  replicas          = each.value[6]
}

output "found" {
  value = module.sizing
}
"""


def test_hcl_and_python_agree_on_every_point_of_a_grid(tree: Tree, tmp_path: Path) -> None:
    assert len(GRID) >= 500
    (tmp_path / "grid.json").write_text(json.dumps(GRID))
    (tmp_path / "main.tf").write_text(CALLER % (tree.root / "terraform/modules/sizing"))
    succeeded(terraform(tmp_path, "init", "-input=false"))
    succeeded(terraform(tmp_path, "apply", "-input=false", "-auto-approve"))
    found = json.loads(succeeded(terraform(tmp_path, "output", "-json")))["found"]["value"]
    assert len(found) == len(GRID)
    for index, (workers, threads, slots, heavy, payload, preload, replicas) in enumerate(GRID):
        model = Model(
            workers=workers,
            threads=threads,
            slots=slots,
            heavy_slots=heavy,
            heavy_payloads={payload * MIB: 1.0},
            preload=preload,
        )
        limits = smallest_limits(model, MEASURED)
        assert found[str(index)] == {
            "slots": model.all_slots,
            "rest_mib": pytest.approx(memory(model, MEASURED).rest / MIB),
            "peak_mib": pytest.approx(limits.alone / MIB),
            "change_mib": pytest.approx(limits.change / MIB),
            "database_connections": database_connections(model, replicas),
        }, GRID[index]
