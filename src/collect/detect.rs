//! What there is to collect on this machine, when the configuration does not say.

use std::collections::BTreeMap;
use std::path::Path;

use super::build::{Draft, DraftKind};
use super::context::LabelStyle;
use super::docker::Endpoint;
use super::journald::{Access, check_access};
use crate::config::sources::{OneOrMany, RawDocker, RawFiles, RawJournal};
use crate::config::Spanned;

/// Files that syslog daemons fill with what the journal has too.
const JOURNAL_COPIES: &str =
    "/var/log/{auth,kern,daemon,user,mail,cron,debug,lpr,boot,cloud-init,cloud-init-output}.log";

/// Containers if there is an engine, the journal if it may be read, and log files.
pub(super) fn drafts<S>() -> Vec<Draft<S>> {
    let mut drafts = Vec::new();
    let has_docker = match Endpoint::from_environment() {
        Ok(Endpoint::Unix(socket)) => socket.exists(),
        Ok(Endpoint::Tcp(_)) => true,
        Err(_) => false,
    };
    if has_docker {
        drafts.push(draft(DraftKind::Docker(RawDocker::default())));
    }
    let has_journal = check_access(None) == Access::Readable && is_installed("journalctl");
    if has_journal {
        let raw = Box::new(RawJournal::default());
        drafts.push(draft(DraftKind::Journal { raw, whole_as_json: false }));
    }
    if Path::new("/var/log").is_dir() {
        drafts.push(draft(DraftKind::Files(Box::new(files(has_journal, has_docker)))));
    }
    drafts
}

fn files(has_journal: bool, has_docker: bool) -> RawFiles {
    let mut include = vec!["/var/log/**/*.log".to_owned()];
    let mut exclude = vec!["/var/log/journal/**".to_owned()];
    if has_journal {
        exclude.push(JOURNAL_COPIES.to_owned());
    } else {
        include.push("/var/log/{syslog,messages,secure,maillog,cron}".to_owned());
    }
    if has_docker {
        exclude.push("/var/log/{containers,pods}/**".to_owned());
    }
    let nowhere = serde_saphyr::Location::UNKNOWN;
    RawFiles {
        include: Spanned::new(OneOrMany(include), nowhere, nowhere),
        exclude: OneOrMany(exclude),
        multiline: None,
        start: None,
        ignore_older: None,
        rotate_wait: None,
    }
}

fn draft<S>(kind: DraftKind) -> Draft<S> {
    Draft {
        name: None,
        kind,
        pipeline: None,
        labels: BTreeMap::new(),
        relabel: Vec::new(),
        style: LabelStyle::Native,
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
