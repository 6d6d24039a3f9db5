//! A system that speaks TLS and wants to know who asks.

use std::{io::Write as _, path::Path, sync::Arc};

use config::{ClientCertificate, Http};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use super::settings;
use crate::Endpoint;

/// An authority, a server whose certificate it signed, and a client's files.
struct Estate {
    folder: TempDir,
    port: u16,
}

fn key_file(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

impl Estate {
    async fn start() -> Estate {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let signed = |names: &[&str], usage: ExtendedKeyUsagePurpose| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages = vec![usage];
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let (server, server_key) = signed(&["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth);
        let (client, client_key) = signed(&["bailiwick"], ExtendedKeyUsagePurpose::ClientAuth);
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("client.pem"), client.pem()).unwrap();
        key_file(&folder.path().join("client.key"), &client_key.serialize_pem());

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let key = PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(verifier);
        let config = config.with_single_cert(vec![server.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = vec![0; 4096];
                if matches!(stream.read(&mut request).await, Ok(1..)) {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                    let _gone = stream.write_all(answer.as_bytes()).await;
                    let _gone = stream.shutdown().await;
                }
            }
        });
        Estate { folder, port }
    }

    /// Trusts the authority, and shows the client's certificate.
    fn known(&self) -> Http {
        let file = |name: &str| self.folder.path().join(name);
        Http {
            ca_file: Some(file("ca.pem")),
            client_certificate: Some(ClientCertificate {
                certificate: file("client.pem"),
                key: file("client.key"),
            }),
            ..settings(&format!("https://127.0.0.1:{}", self.port))
        }
    }
}

async fn ask(settings: Http) -> Result<Value, String> {
    let endpoint = Endpoint::new("prod", &settings).unwrap();
    endpoint.get_json(&["api"], &[], None).await.map_err(|it| it.to_string())
}

#[tokio::test]
async fn who_shows_its_certificate_to_whom_it_trusts_is_answered() {
    let estate = Estate::start().await;
    assert_eq!(ask(estate.known()).await, Ok(serde_json::json!({})));
    let stranger = Http { client_certificate: None, ..estate.known() };
    assert_eq!(
        ask(stranger).await.unwrap_err(),
        "prod is unavailable: asks for a certificate of ours (set `client_certificate`)"
    );
    let trusting_nobody = Http { ca_file: None, ..estate.known() };
    let error = ask(trusting_nobody).await.unwrap_err();
    assert!(error.contains("its TLS certificate is not trusted (set `ca_file`"), "{error}");
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_none_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let estate = Estate::start().await;
    let unusable = "prod is unavailable: its `client_certificate` could not be read as a PEM certificate and key; a person \
                    must correct the configuration";
    let key = estate.folder.path().join("client.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(ask(estate.known()).await.unwrap_err(), unusable);
    std::fs::write(&key, "hunter2").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ask(estate.known()).await.unwrap_err(), unusable);
}
