//! An unmodified registry, on loopback: Debian's package docker-registry. Only `ada` is let in.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tests::demo::wait_for;

pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// `lovelace`, as `htpasswd -B` writes it.
const USERS: &str = "ada:$2y$05$aIZgzdonUb2Q2oeth7xGk.o2X.uZDPahHffq7Bx7z95Bctwjbc/He\n";

impl Registry {
    pub(crate) fn start(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(folder.join("users"), USERS).unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {0}/registry\nhttp:\n  addr: {address}\n\
             auth:\n  htpasswd:\n    realm: test\n    path: {0}/users\n",
            folder.display()
        );
        fs::write(folder.join("registry.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("registry.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed: `make test` does that");
        wait_for("the registry to listen", || TcpStream::connect(address).ok());
        Self { child, address }
    }

    /// What `docker login` writes for this registry.
    pub(crate) fn docker_config(&self) -> String {
        let auth = STANDARD.encode("ada:lovelace");
        serde_json::json!({"auths": {self.address.to_string(): {"auth": auth}}}).to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
