//! Entries of lists that say nothing true.

use expect_test::{Expect, expect};
use policy::{ListEntry, Lists};

use crate::{common::lists, refused_lists};

/// What is wrong with one entry of each list.
fn entries(allow: &[&str], ask: &[&str], approve: &[&str], deny: &[&str], expected: Expect) {
    refused_lists(&lists(allow, ask, approve, deny), expected);
}

#[test]
fn an_entry_that_names_no_tool() {
    let mut lists = lists(&["query_metric"], &[], &[], &[]);
    lists.allow[0].place = Some("bailiwick.toml:12".to_owned());
    refused_lists(
        &lists,
        expect![[r#"
        error: allow: no tool is called `query_metric`
          --> bailiwick.toml:12:1
           |
        12 | query_metric
           | ^^^^^^^^^^^^
           = did you mean `query_metrics`?"#]],
    );
}

#[test]
fn a_glob_that_matches_no_tool() {
    entries(
        &[],
        &["tickets_*"],
        &[],
        &[],
        expect![[r#"
        error: ask: no tool matches
         --> list `ask`:1:1
          |
        1 | tickets_*
          | ^^^^^^^^^
          = there are: delete_branch, list_alerts, open_change, query_metrics, silence_alert"#]],
    );
}

#[test]
fn a_glob_that_is_none() {
    entries(
        &["["],
        &[],
        &[],
        &[],
        expect![[r#"
        error: allow: not a glob: unclosed character class; missing ']'
         --> list `allow`:1:1
          |
        1 | [
          | ^"#]],
    );
}

#[test]
fn a_glob_that_would_allow_no_read() {
    entries(
        &["silence_*"],
        &[],
        &[],
        &[],
        expect![[r#"
        error: allow: opens no tool
         --> list `allow`:1:1
          |
        1 | silence_*
          | ^^^^^^^^^
          = a glob allows reads only: give the tool's name, or effect:mitigate or effect:propose"#]],
    );
}

#[test]
fn an_effect_that_cannot_be_undone_allowed_without_a_name() {
    entries(
        &["effect:destroy"],
        &[],
        &[],
        &[],
        expect![[r#"
        error: allow: opens no tool
         --> list `allow`:1:1
          |
        1 | effect:destroy
          | ^^^^^^^^^^^^^^
          = what cannot be undone is allowed by its tool's name only"#]],
    );
}

#[test]
fn an_effect_that_is_none() {
    entries(
        &[],
        &[],
        &["effect:writes"],
        &[],
        expect![[r#"
        error: approve: no effect is called `writes`
         --> list `approve`:1:1
          |
        1 | effect:writes
          | ^^^^^^^^^^^^^
          = there are: read, mitigate, propose, destroy"#]],
    );
}

#[test]
fn an_environment_without_a_tool() {
    entries(
        &[],
        &[],
        &[],
        &["environment:staging"],
        expect![[r#"
        error: deny: no tool, glob or effect
         --> list `deny`:1:1
          |
        1 | environment:staging
          | ^^^^^^^^^^^^^^^^^^^
          = say which tools, e.g. `list_*`, `effect:mitigate` or, for all of them, `*`"#]],
    );
}

#[test]
fn an_entry_with_an_environment_that_is_none() {
    entries(
        &[],
        &["list_alerts environment:stagin"],
        &[],
        &[],
        expect![[r#"
        error: ask: no environment is called `stagin`
         --> list `ask`:1:13
          |
        1 | list_alerts environment:stagin
          |             ^^^^^^^^^^^^^^^^^^
          = did you mean `staging`?"#]],
    );
}

#[test]
fn an_entry_with_two_environments() {
    entries(
        &["list_alerts environment:staging environment:production"],
        &[],
        &[],
        &[],
        expect![[r#"
        error: allow: a second environment
         --> list `allow`:1:33
          |
        1 | list_alerts environment:staging environment:production
          |                                 ^^^^^^^^^^^^^^^^^^^^^^
          = write one entry for each"#]],
    );
}

#[test]
fn an_entry_with_two_tools() {
    entries(
        &[],
        &["list_alerts query_metrics"],
        &[],
        &[],
        expect![[r#"
        error: ask: a second tool, glob or effect
         --> list `ask`:1:13
          |
        1 | list_alerts query_metrics
          |             ^^^^^^^^^^^^^
          = a call is of one tool: write one entry for each"#]],
    );
}

#[test]
fn the_same_entry_twice() {
    entries(
        &[],
        &[],
        &[],
        &["query_metrics", " query_metrics"],
        expect![[r#"
        error: deny: the same entry again
         --> list `deny`:1:1
          |
        1 |  query_metrics
          | ^^^^^^^^^^^^^^
          = the first stands at list `deny`; keep one"#]],
    );
}

#[test]
fn more_approvals_than_can_be_asked_for() {
    let mut lists = Lists::default();
    lists.approve.push(ListEntry { approvals: 4, ..ListEntry::new("delete_branch") });
    lists.approve.push(ListEntry { approvals: 0, ..ListEntry::new("open_change") });
    refused_lists(
        &lists,
        expect![[r#"
        error: approve: 4 approvals
         --> list `approve`:1:1
          |
        1 | delete_branch
          | ^^^^^^^^^^^^^
          = expected 1, 2 or 3

        error: approve: 0 approvals
         --> list `approve`:1:1
          |
        1 | open_change
          | ^^^^^^^^^^^
          = expected 1, 2 or 3"#]],
    );
}

#[test]
fn an_entry_of_a_repository_that_allows() {
    let mut lists = Lists::default();
    lists.allow.push(ListEntry { narrow: true, ..ListEntry::new("query_metrics") });
    refused_lists(
        &lists,
        expect![[r#"
        error: allow: this file may only narrow
         --> list `allow`:1:1
          |
        1 | query_metrics
          | ^^^^^^^^^^^^^
          = write ask, approve or deny here; allow in your own configuration"#]],
    );
}
