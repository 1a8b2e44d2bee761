//! What the program says when it is ready: where it listens, what is behind it, what to do next.
//!
//! The first line is for scripts too: they look for `listening on https://ADDRESS`.

use std::{net::SocketAddr, path::Path};

/// Who can use the kubeconfig that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Anybody who can read it: it has the token of the embedded store's only user.
    OwnUser,
    /// Clients that add credentials of their own.
    BringsCredentials,
}

/// The text, three or four lines.
pub(super) fn start_text(
    address: SocketAddr,
    fronts: &str,
    kubeconfig: Option<&Path>,
    reader: Reader,
) -> String {
    let mut text = format!("watchgate is listening on https://{address}\n  in front of {fronts}\n");
    let Some(path) = kubeconfig else {
        text += "  no kubeconfig was written: --data-dir is not set\n";
        return text;
    };
    let path = path.display().to_string();
    text += &match reader {
        Reader::OwnUser => format!(
            "  kubeconfig: {path}\n  try: export KUBECONFIG={}; kubectl get namespaces\n",
            quoted(&path)
        ),
        Reader::BringsCredentials => format!(
            "  kubeconfig: {path}\n  it holds no credentials: clients add their own, for instance \
             kubectl --token\n"
        ),
    };
    text
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_type_next() {
        let address = "127.0.0.1:6443".parse().unwrap();
        let path = Path::new("/home/o'neil/my state/k");
        let text = start_text(address, "its embedded store", Some(path), Reader::OwnUser);
        assert_eq!(
            text,
            "watchgate is listening on https://127.0.0.1:6443\n  in front of its embedded store\n  \
             kubeconfig: /home/o'neil/my state/k\n  \
             try: export KUBECONFIG='/home/o'\\''neil/my state/k'; kubectl get namespaces\n"
        );
        let cluster = start_text(address, "x", Some(path), Reader::BringsCredentials);
        assert!(!cluster.contains("export"), "{cluster}");
        assert_eq!(quoted("/var/lib/a-b.kubeconfig"), "/var/lib/a-b.kubeconfig");
    }
}
