//! A real object store with the S3 API.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    cell::Cell,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    http,
    process::{Running, free_address, start_server},
};

/// A SeaweedFS on free loopback ports with one bucket; ended when dropped.
pub struct ObjectStore {
    address: SocketAddr,
    filer: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl ObjectStore {
    /// The bucket there is.
    pub const BUCKET: &str = "audit-logs";
    /// Id of the one access key.
    pub const ACCESS_KEY_ID: &str = "log-writer";
    /// The key.
    pub const SECRET_ACCESS_KEY: &str = "only-for-this-test";

    /// Starts one.
    pub fn start() -> ObjectStore {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let config = folder.path().join("s3.json");
        let (id, key) = (Self::ACCESS_KEY_ID, Self::SECRET_ACCESS_KEY);
        let identities = format!(
            r#"{{"identities":[{{"name":"log","credentials":[{{"accessKey":"{id}","secretKey":"{key}"}}],"actions":["Admin","Read","Write","List"]}}]}}"#
        );
        fs::write(&config, identities).expect("a temporary folder is writable");
        let filer = Cell::new(free_address());
        let command = |address: SocketAddr| {
            filer.set(free_address());
            command(folder.path(), &config, address, filer.get())
        };
        // The store answers, though not to strangers, once everything behind it does.
        let ready = |address| http::get(address, "/").is_ok_and(|it| it.status == 403);
        let (running, address) = start_server(&folder.path().join("log.txt"), command, ready);
        let store = ObjectStore { address, filer: filer.get(), _running: running, _folder: folder };
        store.make_bucket().expect("the store makes a bucket");
        store
    }

    /// Base address of the S3 API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An object as it is stored, whoever may read it.
    pub fn object(&self, name: &str) -> Option<String> {
        // Behind the S3 API a bucket is a folder.
        let answer = http::get(self.filer, &format!("/buckets/{}/{name}", Self::BUCKET));
        answer.ok().filter(|it| it.status == 200).map(|it| it.body)
    }

    /// Makes the folder that is the bucket. Only a request without a type is no upload.
    fn make_bucket(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.filer)?;
        let path = format!("/buckets/{}/", Self::BUCKET);
        write!(stream, "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", self.filer)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.lines().next() {
            Some(line) if line.contains(" 201 ") => Ok(()),
            _ => Err(io::Error::other(answer)),
        }
    }
}

/// Its parts find each other by ports; each that is not given would be a fixed one.
fn command(folder: &Path, config: &Path, address: SocketAddr, filer: SocketAddr) -> Command {
    let mut command = Command::new(program());
    let data = folder.join("data");
    fs::create_dir_all(&data).expect("a temporary folder is writable");
    command
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"])
        .args(["-volume.max=8", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"])
        .arg(format!("-dir={}", data.display()))
        .arg(format!("-s3.config={}", config.display()))
        .arg(format!("-s3.port={}", address.port()))
        .arg(format!("-filer.port={}", filer.port()));
    for part in [
        "s3.port.grpc",
        "filer.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
    ] {
        command.arg(format!("-{part}={}", free_address().port()));
    }
    command
}

/// The one that `tests/run` installs beside its Python, or else that of the machine.
fn program() -> PathBuf {
    let python = std::env::var_os("BAILIWICK_TEST_PYTHON").map(PathBuf::from);
    let beside = python.and_then(|it| Some(it.parent()?.join("weed"))).filter(|it| it.exists());
    beside.unwrap_or_else(|| "weed".into())
}
