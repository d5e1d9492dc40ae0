"""What HAProxy's runtime socket says, as HAProxy 3.0 says it (columns shortened to those that are read)."""

from __future__ import annotations

from process_model.admission import backends_of, parse_acl_list, parse_acl_values, parse_statistics

STATISTICS = """# pxname,svname,qcur,scur,slim,stot,weight,
plane-api,FRONTEND,,3,4000,77,,
plane-api,blue,0,2,14,70,75,
plane-api,canary,0,1,14,3,25,
plane-api,BACKEND,5,2,400,75,100,
plane-api.page-description,blue,0,1,2,7,100,
plane-api.page-description,canary,0,0,2,0,0,
plane-api.page-description,BACKEND,1,1,400,8,100,
plane-apis,green,0,0,9,0,100,
plane-graphql,green,0,0,32,0,100,
"""

RULES = """# id (file) description
0 () acl 'path' file '/etc/plane-admission/services/plane-api.cfg' line 17. curr_ver=0 next_ver=0 entry_cnt=1
2 () acl 'queue' file '/etc/plane-admission/services/plane-api.cfg' line 31. curr_ver=0 next_ver=0 entry_cnt=1
1 () acl 'queue' file '/etc/plane-admission/services/plane-api.cfg' line 21. curr_ver=0 next_ver=0 entry_cnt=1
3 () acl 'path' file '/etc/plane-admission/services/plane-graphql.cfg' line 17. curr_ver=0 next_ver=0 entry_cnt=1
"""


def test_backends_carry_colour_slots_queue_and_pattern_of_the_running_process() -> None:
    found = backends_of("plane-api", parse_statistics(STATISTICS), ["^/heavy/$"], [200, 100])
    assert [(b.name, b.colour, b.slots, b.queue, b.path) for b in found] == [
        ("plane-api", "blue", 14, 200, None),
        ("plane-api.page-description", "blue", 2, 100, "^/heavy/$"),
    ]
    assert [(b.used, b.queued, b.total, b.canary) for b in found] == [(2, 5, 75, 25), (1, 1, 8, 0)]


TASKS = """# pxname,svname,qcur,scur,slim,stot,weight,
plane-api,blue.1,0,2,14,70,1,
plane-api,blue.2,0,1,{second},70,1,
plane-api,elsewhere.1,0,0,,70,1,
plane-api,BACKEND,5,3,400,75,2,
plane-api:elsewhere,elsewhere.1,0,0,,0,1,
"""


def test_tasks_of_a_swarm_are_one_backend_whose_slots_are_those_of_each() -> None:
    (found,) = backends_of("plane-api", parse_statistics(TASKS.format(second=14)), [], [200])
    assert (found.name, found.colour, found.slots, found.used, found.total) == ("plane-api", "blue", 14, 3, 75)


def test_one_task_with_other_slots_shows() -> None:
    third = TASKS.format(second=15) + "plane-api,blue.3,0,0,14,0,1,\n"
    assert backends_of("plane-api", parse_statistics(third), [], [200])[0].slots == 15


def test_a_service_whose_name_merely_begins_alike_is_another_service() -> None:
    assert [b.name for b in backends_of("plane-graphql", parse_statistics(STATISTICS), [], [])] == ["plane-graphql"]


def test_a_server_line_without_maxconn_has_no_slots() -> None:
    text = "# pxname,svname,qcur,scur,slim,stot,\nplane-api,blue,0,0,,0,\n"
    assert backends_of("plane-api", parse_statistics(text), [], [])[0].slots is None


def test_rules_come_from_the_services_own_file_in_the_order_of_its_lines() -> None:
    assert parse_acl_list(RULES, "/etc/plane-admission/services/plane-api.cfg") == [
        ("0", "path"),
        ("1", "queue"),
        ("2", "queue"),
    ]


def test_a_pattern_is_what_follows_the_address() -> None:
    assert parse_acl_values("0x7f70 ^/api/[^/]+ x/$\n\n") == ["^/api/[^/]+ x/$"]
