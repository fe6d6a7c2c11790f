//! Certificates of an own certificate authority, which calls trust in addition to the usual ones.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates of a file; none by default.
#[derive(Clone, Default)]
pub struct OwnCa(Vec<CertificateDer<'static>>);

impl OwnCa {
    /// Reads a file with certificates as PEM. The error is a message for people.
    pub fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let pem = std::fs::read(file).map_err(|e| format!("the file {shown} cannot be read: {e}"))?;
        let unreadable = |e: &dyn std::fmt::Display| format!("the file {shown} contains a certificate that cannot be read: {e}");
        let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|e| unreadable(&e))?;
        if all.is_empty() {
            return Err(format!("the file {shown} contains no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----"));
        }
        let mut store = RootCertStore::empty();
        all.iter().try_for_each(|one| store.add(one.clone())).map_err(|e| unreadable(&e))?;
        Ok(Self(all))
    }

    /// The certificates, in DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_rejected_with_the_reason() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = file.path().display().to_string();
        let one = include_str!("../../../tests/keys/rsa.cert.pem");
        let said = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            OwnCa::read(file.path()).map(|ca| ca.certificates().count()).map_err(|why| why.replace(&name, "ca.pem"))
        };
        assert_eq!(said(&format!("# ours\n{one}{one}")), Ok(2));
        let nothing = "the file ca.pem contains no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----";
        assert_eq!(said("nothing"), Err(nothing.to_owned()));
        let wrong = said("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(wrong.starts_with("the file ca.pem contains a certificate that cannot be read: "), "{wrong}");
        assert!(OwnCa::read(Path::new("/nowhere/ca.pem")).is_err());
    }
}
