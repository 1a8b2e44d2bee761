//! Programs which are built here from published Go code: once per state of their sources, into `cluster-components` in the
//! target directory. A lock keeps two test processes from building at once.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use parking_lot::Mutex;

/// A program of a Go module beside this crate's sources.
#[derive(Debug)]
pub(crate) struct GoBuild {
    /// The program's name, for its file.
    name: &'static str,
    /// The module's directory.
    module: &'static str,
    /// What of it is built, and how: further arguments of `go build`.
    arguments: &'static [&'static str],
    /// The release of Kubernetes which it is made of, for its version answers.
    kubernetes: (&'static str, &'static str, &'static str),
    /// The path of the built program, once known.
    built: Mutex<Option<PathBuf>>,
}

/// The binary with all components.
pub(crate) static COMPONENTS: GoBuild =
    GoBuild::new("components", "components", &["."], ("v1.36.3", "1", "36"));

/// The older API server. The time zones of CronJobs are built in, as the machine may have no zone database.
pub(crate) static KUBE_APISERVER_1_34: GoBuild = GoBuild::new(
    "kube-apiserver-1.34",
    "kubernetes-1.34",
    &["-tags=timetzdata", "k8s.io/kubernetes/cmd/kube-apiserver"],
    ("v1.34.4", "1", "34"),
);

impl GoBuild {
    const fn new(
        name: &'static str,
        module: &'static str,
        arguments: &'static [&'static str],
        kubernetes: (&'static str, &'static str, &'static str),
    ) -> Self {
        Self { name, module, arguments, kubernetes, built: Mutex::new(None) }
    }

    /// The path of the program, which is built unless it is there.
    ///
    /// # Errors
    /// When there is no Go, or it fails.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let mut built = self.built.lock();
        if let Some(path) = &*built {
            return Ok(path.clone());
        }
        let path = self.build().with_context(|| format!("building {}", self.name))?;
        *built = Some(path.clone());
        Ok(path)
    }

    fn build(&self) -> Result<PathBuf> {
        let version = go().context("the programs of test clusters are built with Go")?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.module);
        let flags = self.linker_flags();
        let mut hasher = DefaultHasher::new();
        (version, &flags).hash(&mut hasher);
        hash_sources(&source, &mut hasher)?;

        let cache = target_directory().join("cluster-components");
        fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
        let file = format!("{}-{:016x}", self.name, hasher.finish());
        let binary = cache.join(&file);
        let lock = File::create(cache.join("lock"))?;
        lock.lock().context("lock of the builds")?;
        if binary.is_file() {
            return Ok(binary);
        }
        eprintln!(
            "building {} for test clusters (minutes the first time, then seconds)",
            self.name
        );
        let started = Instant::now();
        let unfinished = cache.join(format!("{file}.building"));
        let output = Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"])
            .arg(&unfinished)
            .args(self.arguments)
            .current_dir(&source)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!("go build: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        fs::rename(&unfinished, &binary)?;
        eprintln!("built in {:.0} s: {}", started.elapsed().as_secs_f64(), binary.display());
        Ok(binary)
    }

    /// Sets the versions which the release builds of Kubernetes report, and drops debug information.
    fn linker_flags(&self) -> String {
        let (version, major, minor) = self.kubernetes;
        let mut flags = "-s -w".to_owned();
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            for (variable, value) in [
                ("gitVersion", version),
                ("gitMajor", major),
                ("gitMinor", minor),
                ("gitTreeState", "clean"),
            ] {
                flags.push_str(&format!(" -X {package}.{variable}={value}"));
            }
        }
        flags
    }
}

/// What `go version` says.
///
/// # Errors
/// When there is no Go.
pub(crate) fn go() -> Result<String> {
    let output = Command::new("go").arg("version").stdin(Stdio::null()).output().context("go")?;
    ensure!(output.status.success(), "go version: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Hashes all Go files and the module's own files below `directory`, in a fixed order.
fn hash_sources(directory: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            name.hash(hasher);
            hash_sources(&path, hasher)?;
        } else if name == "go.mod" || name == "go.sum" || is_source(&name) {
            name.hash(hasher);
            fs::read(&path).with_context(|| path.display().to_string())?.hash(hasher);
        }
    }
    Ok(())
}

fn is_source(name: &str) -> bool {
    name.ends_with(".go") && !name.ends_with("_test.go")
}

/// Cargo's target directory: the one which the running test lies in, recognised by the tag which Cargo puts there.
fn target_directory() -> PathBuf {
    let running = env::current_exe().unwrap_or_default();
    let tagged = running.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file());
    tagged.map_or_else(|| env::temp_dir().join("watchgate-target"), Path::to_owned)
}
