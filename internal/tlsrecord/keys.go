package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// keys protect the records of one direction.
type keys struct {
	aead  cipher.AEAD
	iv    [nonceLen]byte
	nonce [nonceLen]byte // of the current record; here so that none is allocated for each
}

// derive makes k the keys of a traffic secret (section 7.3). Errors: [ErrSuite].
func (k *keys) derive(suite uint16, secret []byte) (err error) {
	newHash, keyLen, newAEAD := sha256.New, 16, gcm
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, keyLen = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		keyLen, newAEAD = chacha20poly1305.KeySize, chacha20poly1305.New
	default:
		return ErrSuite
	}
	if len(secret) != newHash().Size() {
		return ErrSuite
	}
	key, err := expandLabel(newHash, secret, "key", keyLen)
	if err != nil {
		return err
	}
	defer clear(key)
	iv, err := expandLabel(newHash, secret, "iv", nonceLen)
	if err != nil {
		return err
	}
	k.iv = [nonceLen]byte(iv)
	k.aead, err = newAEAD(key)
	return err
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel is HKDF-Expand-Label with an empty context (section 7.1).
func expandLabel(newHash func() hash.Hash, secret []byte, label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len(label)))
	info = append(info, label...)
	info = append(info, 0)
	return hkdf.Expand(newHash, secret, string(info), n)
}

// nonceOf returns the nonce of a record (section 5.3). It is valid until the next call.
func (k *keys) nonceOf(number uint64) []byte {
	k.nonce = k.iv
	last := k.nonce[nonceLen-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^number)
	return k.nonce[:]
}
