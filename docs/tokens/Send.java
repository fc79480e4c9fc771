import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Sends mail with the token of the pod's service account, by Jakarta Mail (Angus). */
public final class Send {
    public static void main(String[] arguments) throws Exception {
        var authorities = KeyStore.getInstance(KeyStore.getDefaultType());
        authorities.load(null);
        try (var text = Files.newInputStream(Path.of(System.getenv("MAIL_CA")))) {
            for (var certificate : CertificateFactory.getInstance("X.509").generateCertificates(text)) {
                authorities.setCertificateEntry("authority " + authorities.size(), certificate);
            }
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(authorities);
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);

        var properties = new Properties();
        properties.put("mail.smtp.starttls.required", "true");
        properties.put("mail.smtp.ssl.checkserveridentity", "true");
        properties.put("mail.smtp.ssl.socketFactory", tls.getSocketFactory());
        properties.put("mail.smtp.auth", "true");
        properties.put("mail.smtp.auth.mechanisms", "XOAUTH2");
        var session = Session.getInstance(properties);

        var message = new MimeMessage(session);
        message.setFrom(new InternetAddress("orders@shop.example.org", "Shop"));
        message.setRecipients(Message.RecipientType.TO, "someone@example.com");
        message.setSubject("Your order");
        message.setText("It is on its way.\n");
        message.saveChanges();

        // The kubelet renews the token, so it is read for each connection. It stands in the password's place.
        var token = Files.readString(Path.of(System.getenv("MAIL_TOKEN"))).strip();
        try (var transport = session.getTransport("smtp")) {
            transport.connect(
                System.getenv("MAIL_HOST"), Integer.parseInt(System.getenv("MAIL_PORT")), "pod", token);
            transport.sendMessage(message, message.getAllRecipients());
        }
    }
}
