//! TLS in Doorbell itself, for use without a proxy. The certificate is reloaded when its file changes, as on renewal, or
//! on SIGHUP; an unusable new certificate never replaces a usable one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are checked.
const POLL: Duration = Duration::from_secs(30);

/// Accepts connections with the current certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<ArcSwap<CertifiedKey>>,
    cert: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Reads a certificate and its key. The error is a message for people.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let current = Arc::new(ArcSwap::from_pointee(certified(cert, key)?));
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| format!("TLS cannot be set up: {e}"))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Current(current.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), current, cert: cert.to_owned(), key: key.to_owned() })
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Watches both files forever, and switches to a renewed certificate.
    pub async fn renew(self) {
        let (cert, key) = (&self.cert, &self.key);
        let mut seen = changed(cert, key);
        let mut asked = signal(SignalKind::hangup()).ok();
        loop {
            match &mut asked {
                Some(asked) => drop(tokio::time::timeout(POLL, asked.recv()).await),
                None => tokio::time::sleep(POLL).await,
            }
            let changed = changed(cert, key);
            if changed == seen {
                continue;
            }
            match certified(cert, key) {
                Ok(new) => {
                    self.current.store(Arc::new(new));
                    seen = changed;
                    tracing::info!("renewed certificate is in use");
                }
                // Perhaps only one of the two files has been written so far.
                Err(why) => tracing::warn!("{why}; the old certificate stays in use"),
            }
        }
    }
}

#[derive(Debug)]
struct Current(Arc<ArcSwap<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|e| format!("the certificate {} cannot be read: {e}", cert.display()))?;
    if chain.is_empty() {
        return Err(format!("the file {} contains no certificate", cert.display()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("the private key {} cannot be read: {e}", key.display()))?;
    let signer = any_supported_type(&private).map_err(|e| format!("the private key {} cannot be used: {e}", key.display()))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(format!("the private key {} does not belong to the certificate {}", key.display(), cert.display()))
        }
        Err(e) => Err(format!("the certificate {} cannot be used: {e}", cert.display())),
        Ok(()) => Ok(certified),
    }
}

fn changed(cert: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [cert, key].map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

/// A client that asks Doorbell itself whether it is healthy. It does not check the certificate: that was issued for the name
/// that other callers use, and nothing but "ready" is exchanged.
pub fn asking_ourselves(stream: std::net::TcpStream) -> Result<impl io::Read + io::Write, String> {
    let provider = Arc::new(default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
    let connection = rustls::ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    Ok(rustls::StreamOwned::new(connection, stream))
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
