"""Joins sign-up rows and the notices that go with them; called by web, API, inbound and import.

Notices planned here, in `leaving` and in `preferences`, with the variables their templates get
(`medium` is `email` or `sms`; lists may be empty; urls are whole):

| template         | kind     | media       | variables                                                    |
|------------------|----------|-------------|--------------------------------------------------------------|
| `confirm_email`  | CONFIRM  | email       | confirm_url, area_names: [str]                               |
| `confirm_sms`    | CONFIRM  | sms         | code: six digits (or reply OK), area_names: [str]            |
| `already`        | ALREADY  | email, sms  | manage_url                                                   |
| `welcome`        | WELCOME  | email, sms  | area_names: [str], team_names: [str], manage_url             |
| `fresh_link`     | LINK     | email, sms  | fresh_url, good_for_minutes: int                             |
| `stopped`        | RECEIPT  | email, sms  | medium, still_on: [medium], manage_url                       |
| `stopped_area`   | RECEIPT  | email, sms  | area_name, still_areas: [str], manage_url                    |
| `start_question` | CONFIRM  | sms, email  | area_names: [str] (reply OK; by email nothing is asked)      |

`welcome` also says that a person is back after `start_question` or after undoing a stop.
"""
