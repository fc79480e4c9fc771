import jakarta.json.Json;
import jakarta.json.JsonObject;
import jakarta.json.JsonString;
import jakarta.mail.Address;
import jakarta.mail.SendFailedException;
import jakarta.mail.Session;
import jakarta.mail.internet.InternetAddress;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Properties;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import org.eclipse.angus.mail.smtp.SMTPMessage;
import org.eclipse.angus.mail.smtp.SMTPTransport;

/** Sends letters on one connection with Jakarta Mail: Send JOB. src/clients.rs says what a job is. */
public final class Send {
    public static void main(String[] arguments) throws Exception {
        JsonObject job;
        try (var reader = Json.createReader(Files.newBufferedReader(Path.of(arguments[0])))) {
            job = reader.readObject();
        }
        var properties = new Properties();
        // Who is refused is told, and the others get the letter.
        properties.put("mail.smtp.sendpartial", "true");
        properties.put("mail.mime.allowutf8", "true");
        if (!job.isNull("authority")) {
            properties.put("mail.smtp.starttls.enable", "true");
            properties.put("mail.smtp.starttls.required", "true");
            properties.put("mail.smtp.ssl.checkserveridentity", "true");
            properties.put("mail.smtp.ssl.socketFactory", trusting(Path.of(job.getString("authority"))));
        }
        properties.put("mail.smtp.auth", String.valueOf(!job.isNull("user")));
        var session = Session.getInstance(properties);
        try (var transport = (SMTPTransport) session.getTransport("smtp")) {
            var password = job.getString("password", null);
            transport.connect(job.getString("host"), job.getInt("port"), job.getString("user", null), password);
            for (var letter : job.getJsonArray("letters").getValuesAs(JsonObject.class)) {
                send(session, transport, letter);
            }
        } catch (Exception error) {
            System.out.println(error);
            System.exit(1);
        }
    }

    private static void send(Session session, SMTPTransport transport, JsonObject letter) throws Exception {
        SMTPMessage message;
        try (InputStream text = Files.newInputStream(Path.of(letter.getString("file")))) {
            message = new SMTPMessage(session, text);
        }
        message.setEnvelopeFrom(letter.getString("from"));
        message.setAllow8bitMIME(letter.getBoolean("eightBit"));
        var recipients = letter.getJsonArray("to").getValuesAs(JsonString.class);
        var addresses = new Address[recipients.size()];
        for (int at = 0; at < addresses.length; at++) {
            var address = new InternetAddress();
            address.setAddress(recipients.get(at).getString());
            addresses[at] = address;
        }
        try {
            transport.sendMessage(message, addresses);
        } catch (SendFailedException error) {
            var sent = error.getValidSentAddresses();
            if (sent == null || sent.length == 0) {
                throw error;
            }
            System.out.println("refused: " + error);
        }
    }

    /** A factory of TLS connections that trusts this authority alone. */
    private static SSLSocketFactory trusting(Path authority) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream text = Files.newInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(text));
        }
        var managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context.getSocketFactory();
    }
}
