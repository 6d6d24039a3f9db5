//! Which files are refused, and in which words.

mod estate;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use config::Config;
use estate::estate;
use expect_test::{Expect, expect};

#[test]
fn a_policy_file_must_be_there_and_in_its_place() {
    let it = estate();
    let refused = |text: &str, expect: Expect| expect.assert_eq(&it.load_text(text).unwrap_err());
    refused(
        "[policy]\nfiles = [\"absent.cedar\"]\n",
        expect!["cannot read DIR/home/.config/bailiwick/absent.cedar: no such file"],
    );
    it.write("home/.config/bailiwick/a.cedar", "");
    refused(
        "[policy]\nfiles = [\"a.cedar\", \"./a.cedar\"]\n",
        expect!["DIR/home/.config/bailiwick/a.cedar is named twice"],
    );
    it.write("home/.config/bailiwick/teams/stray.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect!["DIR/home/.config/bailiwick/teams/stray.cedar belongs into the subfolder of a team"],
    );
    fs::remove_file(it.path("home/.config/bailiwick/teams/stray.cedar")).unwrap();
    it.write("home/.config/bailiwick/teams/a team/a.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect![
            "DIR/home/.config/bailiwick/teams/a team is no team's name: letters, digits, `.`, `_` and `-`"
        ],
    );
    fs::remove_dir_all(it.path("home/.config/bailiwick/teams/a team")).unwrap();
    it.write("home/.config/bailiwick/teams/shop/deep/a.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect!["DIR/home/.config/bailiwick/teams/shop/deep is a folder within a team's, and none is read"],
    );
}

#[test]
fn what_every_user_may_change_is_not_trusted() {
    let it = estate();
    let path = it.write("home/.config/bailiwick/bailiwick.toml", "");
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&path, 0o666);
    expect!["DIR/home/.config/bailiwick/bailiwick.toml is not trusted: every user may change it; run `chmod o-w` on it"].assert_eq(&it.load().unwrap_err());
    allow(&path, 0o664);
    expect!["DIR/home/.config/bailiwick/bailiwick.toml: its group may change it"]
        .assert_eq(&it.notes(&it.load().unwrap()));
    allow(&path, 0o644);
    allow(path.parent().unwrap(), 0o777);
    expect![
        "DIR/home/.config/bailiwick is not trusted: every user may put files into it; run `chmod o-w` on it"
    ]
    .assert_eq(&it.load().unwrap_err());
    allow(path.parent().unwrap(), 0o755);
    let cedar = it.write("home/.config/bailiwick/a.cedar", "");
    allow(&cedar, 0o646);
    expect![
        "DIR/home/.config/bailiwick/a.cedar is not trusted: every user may change it; run `chmod o-w` on it"
    ]
    .assert_eq(&it.load_text("[policy]\nfiles = [\"a.cedar\"]\n").unwrap_err());
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let it = estate();
    let load = |path: &Path| it.plain(&Config::load(Some(path), &it.surroundings).unwrap_err().to_string());
    expect!["cannot read DIR/absent.toml: no such file"].assert_eq(&load(Path::new("absent.toml")));
    expect!["cannot read DIR/home: it is not a regular file"].assert_eq(&load(Path::new("home")));
    fs::write(it.path("binary.toml"), [0xff]).unwrap();
    expect!["cannot read DIR/binary.toml: it is not UTF-8 text"].assert_eq(&load(Path::new("binary.toml")));
    fs::write(it.path("huge.toml"), " ".repeat(1024 * 1024 + 1)).unwrap();
    expect!["cannot read DIR/huge.toml: it is larger than 1 MiB"].assert_eq(&load(Path::new("huge.toml")));
}

#[test]
fn a_broken_link_is_not_the_absence_of_a_configuration() {
    let it = estate();
    fs::create_dir_all(it.path("home/.config/bailiwick")).unwrap();
    std::os::unix::fs::symlink("nowhere", it.path("home/.config/bailiwick/bailiwick.toml")).unwrap();
    expect!["cannot read DIR/home/.config/bailiwick/bailiwick.toml: no such file"]
        .assert_eq(&it.load().unwrap_err());
}
