#!/usr/bin/python
"""Thin module over process_model.observe and process_model.saturation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gunicorn_info
short_description: Say which process model a running gunicorn really has, each fact with its source
description:
  - Finds the gunicorn master behind a systemd unit, a container, a pid file or a TCP port through /proc, cgroups and
    sockets, and observes it and its workers. It asks the process, not its files, and changes nothing.
  - No configuration file is believed on its own. The worker class comes from the command line, C(GUNICORN_CMD_ARGS) and
    the configuration file by gunicorn's own precedence, and is held against the shared objects that the workers have
    mapped and against an HTTP answer. Where sources disagree, RV(disagreements) names all of them.
  - It compares with nothing. The module M(process_model) does that for a service of this project.
options:
  unit:
    description: A systemd unit, for example C(plane-api@blue.service).
    type: str
  container:
    description: The id of a container on this host, or the beginning of it (12 characters or more).
    type: str
  pid_file:
    description: A file that holds the master's process id (gunicorn's C(--pid)).
    type: path
  port:
    description: A TCP port that gunicorn itself listens on.
    type: int
  path:
    description: The path of the one HTTP request that is made.
    type: str
    default: /
  saturate:
    description:
      - Fill every worker for a moment to prove what it runs at once. Only for an instance without traffic, or where a
        moment of full load is acceptable.
      - Needs a gunicorn that binds to a Unix socket.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Observe whatever listens on port 8000
  gunicorn_info:
    port: 8000

- name: Prove how many requests an instance without traffic runs at once
  gunicorn_info:
    unit: plane-api@green.service
    saturate: true
"""

RETURN = r"""
found:
  description: Whether a gunicorn master was found; RV(reason) says why not. That is an answer, not a failure.
  returned: always
  type: bool
facts:
  description:
    - Name to C(value), C(source), and C(agree), which is false where sources contradict each other. Names are
      C(worker_class), C(workers), C(threads), C(application), C(bind), C(max_requests), C(max_requests_jitter),
      C(worker_connections), C(timeout) and C(graceful_timeout) in seconds, C(preload), C(user), C(release), and the
      limits in force C(limit memory_bytes), C(limit cpu) in processors and C(limit tasks).
  returned: always
  type: dict
  sample: {worker_class: {value: gthread, source: "command line, Server: gunicorn", agree: true}}
workers:
  description: Each worker's C(pid), C(age) in seconds, C(state), C(threads) now, C(rss) and C(pss) in bytes.
  returned: always
  type: list
  elements: dict
versions:
  description: Versions of gunicorn, uvicorn, Django and Python that the process runs with.
  returned: always
  type: dict
restarts:
  description: How often systemd restarted the unit; null where it was not found by its unit.
  returned: always
  type: int
unit:
  description: What systemd says of the unit, as C(systemctl show) does; empty where it was not found by its unit.
  returned: always
  type: dict
disagreements:
  description: Name to every source that said something, for each fact whose sources do not say the same.
  returned: always
  type: dict
answer:
  description: C(status), C(server) and C(seconds) of the HTTP request.
  returned: always
  type: dict
saturation:
  description: With O(saturate), C(per_worker) requests at once, C(bounded), and how the probe saw it.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import observe, saturation


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str"},
            "container": {"type": "str"},
            "pid_file": {"type": "path"},
            "port": {"type": "int"},
            "path": {"type": "str", "default": "/"},
            "saturate": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("unit", "container", "pid_file", "port")],
        required_one_of=[("unit", "container", "pid_file", "port")],
        supports_check_mode=True,
    )
    given, path = module.params, module.params["path"]
    if given["unit"]:
        found = observe.observe_unit(given["unit"], path=path)
    elif given["container"]:
        found = observe.observe(observe.master_of_container(given["container"]), path=path)
    elif given["pid_file"]:
        found = observe.observe(observe.master_of_pid_file(given["pid_file"]), path=path)
    else:
        found = observe.observe(observe.master_of_port(given["port"]), path=path)
    filled = None
    if given["saturate"] and found.found:
        where = observe.address_of(found.facts["bind"].value)
        if not isinstance(where, str):
            module.fail_json(msg=f"saturate needs a gunicorn that binds to a Unix socket, this one binds to {where}")
        filled = saturation.saturate(where, [worker.pid for worker in found.workers], path).to_dict()
    module.exit_json(changed=False, saturation=filled, **found.to_dict())


if __name__ == "__main__":
    main()
