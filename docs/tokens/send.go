// Sends mail with the token of the pod's service account, by net/smtp.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"net"
	"net/smtp"
	"os"
)

const message = "From: Shop <orders@shop.example.org>\r\nTo: someone@example.com\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n"

// bearer shows a token by OAUTHBEARER (RFC 7628).
type bearer struct{ token []byte }

func (b bearer) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("a token is shown under TLS alone")
	}
	return "OAUTHBEARER", []byte("n,,\x01auth=Bearer " + string(b.token) + "\x01\x01"), nil
}

func (b bearer) Next(challenge []byte, more bool) ([]byte, error) {
	if more {
		return []byte{1}, nil // A challenge tells of a refusal, and wants this answer before the server says so.
	}
	return nil, nil
}

func send() error {
	// The kubelet renews the token, so it is read for each connection.
	token, err := os.ReadFile(os.Getenv("MAIL_TOKEN"))
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(os.Getenv("MAIL_CA"))
	if err != nil {
		return err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(authority)
	host := os.Getenv("MAIL_HOST")
	client, err := smtp.Dial(net.JoinHostPort(host, os.Getenv("MAIL_PORT")))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.StartTLS(&tls.Config{ServerName: host, RootCAs: authorities}); err != nil {
		return err
	}
	if err := client.Auth(bearer{bytes.TrimSpace(token)}); err != nil {
		return err
	}
	if err := client.Mail("orders@shop.example.org"); err != nil {
		return err
	}
	if err := client.Rcpt("someone@example.com"); err != nil {
		return err
	}
	text, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := text.Write([]byte(message)); err != nil {
		return err
	}
	// Not before this is the message taken.
	if err := text.Close(); err != nil {
		return err
	}
	return client.Quit()
}

func main() {
	if err := send(); err != nil {
		log.Fatal(err)
	}
}
