//! The users of a test cluster and their tokens, new and random for each cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

/// A bearer token. Its `Debug` form doesn't show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token itself, as it stands after `Bearer `.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Self> {
        let mut bytes = [0u8; 24];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut bytes))
            .context("/dev/urandom")?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The users with their tokens, by name.
#[derive(Debug)]
pub(crate) struct Users(BTreeMap<String, (Token, Vec<String>)>);

impl Users {
    /// Draws a token for each user, given as name and groups.
    pub(crate) fn new(users: &BTreeMap<String, Vec<String>>) -> Result<Self> {
        let tokens = users
            .iter()
            .map(|(name, groups)| Ok((name.clone(), (Token::random()?, groups.clone()))))
            .collect::<Result<_>>()?;
        Ok(Self(tokens))
    }

    pub(crate) fn token(&self, user: &str) -> Option<&Token> {
        self.0.get(user).map(|(token, _)| token)
    }

    /// Writes kube-apiserver's `--token-auth-file`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let lines: String = self
            .0
            .iter()
            .map(|(name, (token, groups))| {
                format!("{},{name},uid-{name},\"{}\"\n", token.0, groups.join(","))
            })
            .collect();
        std::fs::write(path, lines).with_context(|| path.display().to_string())
    }
}
