//! Our own container, whose log must not be read: each line would make another.

use std::fs;

/// The id of the container this process runs in.
pub(super) fn container_id() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    from_mounts(&mounts).or_else(|| from_groups(&groups))
}

/// The engine mounts these three files from the container's own folder. Other mounts may show
/// the folders of other containers.
fn from_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        if !matches!(at, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        root.split('/').find(|part| is_id(part)).map(str::to_owned)
    })
}

fn from_groups(groups: &str) -> Option<String> {
    groups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(|part| {
            let id = part.strip_suffix(".scope").unwrap_or(part);
            let id = id.rsplit('-').next().unwrap_or(id);
            is_id(id).then(|| id.to_owned())
        })
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id() {
        let (a, b) = ("a1".repeat(32), "b2".repeat(32));
        let mounts = format!(
            "1 2 0:1 /var/lib/docker/containers/{b}/mounts/shm /dev/shm rw - tmpfs shm rw\n\
             3 4 8:1 /var/lib/docker/containers/{a}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
        );
        assert_eq!(from_mounts(&mounts), Some(a.clone()));
        assert_eq!(from_mounts("1 2 0:1 / / rw - overlay overlay rw"), None);
        assert_eq!(from_groups(&format!("0::/system.slice/docker-{a}.scope\n")), Some(a.clone()));
        assert_eq!(from_groups(&format!("4:memory:/docker/{a}\n")), Some(a));
        assert_eq!(from_groups("0::/user.slice\n"), None);
    }
}
