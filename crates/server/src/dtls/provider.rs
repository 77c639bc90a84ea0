//! The cryptography of DTLS: that of ring, which TLS has already. One suite of each version is enough: every browser has it (RFC 8827 section 6.5).

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use dimpl::crypto::{
    Aad, ActiveKeyExchange, Buf, Cipher, CryptoProvider, Dtls12CipherSuite, Dtls13CipherSuite,
    HashAlgorithm, HashContext, HashProvider, HmacProvider, KeyProvider, NamedGroup, Nonce,
    SecureRandom, SignatureAlgorithm, SignatureVerifier, SigningKey, SupportedDtls12CipherSuite,
    SupportedDtls13CipherSuite, SupportedKxGroup, TmpBuf,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::aead::{self, LessSafeKey, UnboundKey};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{self, EcdsaKeyPair};
use ring::{digest, hmac};

use super::certificate;

/// Octets of a tag of GCM.
const TAG: usize = 16;

/// What the DTLS engine computes with.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: &[&Group(NamedGroup::X25519), &Group(NamedGroup::Secp256r1)],
        signature_verification: &Ring,
        key_provider: &Ring,
        secure_random: &Ring,
        hash_provider: &Ring,
        hmac_provider: &Ring,
        cipher_suites: &[&Gcm],
        dtls13_cipher_suites: &[&Gcm],
    }
}

#[derive(Debug)]
struct Ring;

fn failed(operation: CryptoOperation) -> CryptoError {
    CryptoError::OperationFailed(operation)
}

impl SecureRandom for Ring {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), CryptoError> {
        let filled = SystemRandom::new().fill(buffer);
        filled.map_err(|_| failed(CryptoOperation::FillRandom))
    }
}

impl HashProvider for Ring {
    /// SHA-256 is what the suites above have; nothing else is asked for.
    fn create_hash(&self, _: HashAlgorithm) -> Box<dyn HashContext> {
        Box::new(Hash(digest::Context::new(&digest::SHA256)))
    }
}

struct Hash(digest::Context);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        out.clear();
        out.extend_from_slice(self.0.clone().finish().as_ref());
    }
}

impl HmacProvider for Ring {
    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        if hash != HashAlgorithm::SHA256 {
            return Err(CryptoError::UnsupportedHmacHash(hash));
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
        let room = out.get_mut(..tag.as_ref().len());
        let room = room.ok_or(failed(CryptoOperation::ComputeHmac))?;
        room.copy_from_slice(tag.as_ref());
        Ok(room.len())
    }
}

/// AES-128 in GCM, of DTLS 1.2 with ECDHE and ECDSA, and of DTLS 1.3.
#[derive(Debug)]
struct Gcm;

#[derive(Debug)]
struct Sealer(LessSafeKey);

impl Gcm {
    fn cipher(key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        let key = UnboundKey::new(&aead::AES_128_GCM, key);
        let key = key.map_err(|_| failed(CryptoOperation::CreateCipher))?;
        Ok(Box::new(Sealer(LessSafeKey::new(key))))
    }
}

impl Cipher for Sealer {
    fn encrypt(&mut self, data: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let aad = aead::Aad::from(&aad[..]);
        let tag = self.0.seal_in_place_separate_tag(nonce, aad, data.as_mut());
        let tag = tag.map_err(|_| failed(CryptoOperation::Encrypt))?;
        data.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn decrypt(
        &mut self,
        data: &mut TmpBuf<'_>,
        aad: Aad,
        nonce: Nonce,
    ) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let aad = aead::Aad::from(&aad[..]);
        let plain = self.0.open_in_place(nonce, aad, data.as_mut());
        let length = plain.map_err(|_| failed(CryptoOperation::Decrypt))?.len();
        data.truncate(length);
        Ok(())
    }
}

impl SupportedDtls12CipherSuite for Gcm {
    fn suite(&self) -> Dtls12CipherSuite {
        Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    /// RFC 5288: no MAC key, the key, the salt of the nonce; eight octets of it are in each record.
    fn key_lengths(&self) -> (usize, usize, usize) {
        (0, 16, 4)
    }

    fn explicit_nonce_len(&self) -> usize {
        8
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Gcm::cipher(key)
    }
}

impl SupportedDtls13CipherSuite for Gcm {
    fn suite(&self) -> Dtls13CipherSuite {
        Dtls13CipherSuite::AES_128_GCM_SHA256
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn key_len(&self) -> usize {
        16
    }

    fn iv_len(&self) -> usize {
        12
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        Gcm::cipher(key)
    }

    /// RFC 9147 section 4.2.3.
    fn encrypt_sn(&self, key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let aes = Aes128Enc::new_from_slice(key).expect("a key of this suite");
        let mut block = (*sample).into();
        aes.encrypt_block(&mut block);
        block.into()
    }
}

#[derive(Debug)]
struct Group(NamedGroup);

impl Group {
    fn algorithm(&self) -> &'static agreement::Algorithm {
        match self.0 {
            NamedGroup::Secp256r1 => &agreement::ECDH_P256,
            _ => &agreement::X25519,
        }
    }
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        self.0
    }

    fn start_exchange(&self, mut buffer: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let secret = EphemeralPrivateKey::generate(self.algorithm(), &SystemRandom::new());
        let secret = secret.map_err(|_| failed(CryptoOperation::StartKeyExchange))?;
        let public = secret.compute_public_key();
        let public = public.map_err(|_| failed(CryptoOperation::ComputePublicKey))?;
        buffer.clear();
        buffer.extend_from_slice(public.as_ref());
        Ok(Box::new(Exchange {
            group: self.0,
            algorithm: self.algorithm(),
            secret,
            public: buffer,
        }))
    }
}

struct Exchange {
    group: NamedGroup,
    algorithm: &'static agreement::Algorithm,
    secret: EphemeralPrivateKey,
    public: Buf,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({:?})", self.group)
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, theirs: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let Exchange {
            group,
            algorithm,
            secret,
            ..
        } = *self;
        let theirs = UnparsedPublicKey::new(algorithm, theirs);
        agreement::agree_ephemeral(secret, &theirs, |shared| {
            out.clear();
            out.extend_from_slice(shared);
        })
        .map_err(|_| CryptoError::InvalidPublicKey(group))
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

#[derive(Debug)]
struct Signer(EcdsaKeyPair);

impl KeyProvider for Ring {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new());
        let pair = pair.map_err(|_| failed(CryptoOperation::LoadPrivateKey))?;
        Ok(Box::new(Signer(pair)))
    }
}

impl SigningKey for Signer {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        if hash != HashAlgorithm::SHA256 {
            return Err(CryptoError::SigningKeyUnsupportedHash {
                group: NamedGroup::Secp256r1,
                hash,
            });
        }
        let signature = self.0.sign(&SystemRandom::new(), data);
        let signature = signature.map_err(|_| failed(CryptoOperation::Sign))?;
        out.clear();
        out.extend_from_slice(signature.as_ref());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

impl SignatureVerifier for Ring {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        if algorithm != SignatureAlgorithm::ECDSA {
            return Err(CryptoError::UnsupportedSignatureAlgorithm(algorithm));
        }
        let key =
            certificate::public_key(certificate).ok_or(CryptoError::CertificateParseFailed)?;
        let (verifier, group): (&dyn signature::VerificationAlgorithm, _) = match (key.curve, hash)
        {
            (certificate::Curve::P256, HashAlgorithm::SHA256) => {
                (&signature::ECDSA_P256_SHA256_ASN1, NamedGroup::Secp256r1)
            }
            (certificate::Curve::P256, HashAlgorithm::SHA384) => {
                (&signature::ECDSA_P256_SHA384_ASN1, NamedGroup::Secp256r1)
            }
            (certificate::Curve::P384, HashAlgorithm::SHA256) => {
                (&signature::ECDSA_P384_SHA256_ASN1, NamedGroup::Secp384r1)
            }
            (certificate::Curve::P384, HashAlgorithm::SHA384) => {
                (&signature::ECDSA_P384_SHA384_ASN1, NamedGroup::Secp384r1)
            }
            _ => return Err(failed(CryptoOperation::VerifySignature)),
        };
        let verified =
            signature::UnparsedPublicKey::new(verifier, key.point).verify(data, signature);
        verified.map_err(|_| CryptoError::SignatureVerificationFailed {
            signature: algorithm,
            hash,
            group,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ring_computes_is_what_dtls_wants() {
        provider().validate().expect("its test vectors");
    }
}
