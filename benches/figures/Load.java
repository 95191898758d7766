import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent producer at a steady rate, round robin over the partitions of a topic, until its standard input ends.
 * Run it as a single source file: java -cp 'libs/*' Load.java BOOTSTRAP TOPIC PARTITIONS BYTES_PER_SECOND RECORD_BYTES FILE
 * [SETTING=VALUE...]. The file has a line for each answer: partition, number, offset (-1: refused), milliseconds since 1970 at
 * which it was sent and answered. The value of a record begins with its number, 8 bytes.
 */
public final class Load {
    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        int partitions = Integer.parseInt(arguments[2]);
        long rate = Long.parseLong(arguments[3]);
        int recordBytes = Integer.parseInt(arguments[4]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "5");
        settings.put("max.block.ms", "120000");
        for (int at = 6; at < arguments.length; at++) {
            String[] setting = arguments[at].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        try (BufferedWriter answers = Files.newBufferedWriter(Path.of(arguments[5]));
                KafkaProducer<byte[], byte[]> producer =
                        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            long began = System.nanoTime();
            for (long number = 0; System.in.available() == 0; number++) {
                long due = began + (long) (number * (double) recordBytes / rate * 1e9);
                while (System.nanoTime() < due) {
                    LockSupport.parkNanos(Math.min(due - System.nanoTime(), 1_000_000));
                }
                send(producer, topic, (int) (number % partitions), number, recordBytes, answers);
            }
            producer.flush();
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, long number,
            int recordBytes, BufferedWriter answers) {
        byte[] value = new byte[recordBytes];
        ByteBuffer.wrap(value).putLong(number);
        long sent = System.currentTimeMillis();
        producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, error) -> {
            long offset = error == null ? metadata.offset() : -1;
            try {
                answers.write(partition + " " + number + " " + offset + " " + sent + " " + System.currentTimeMillis() + "\n");
            } catch (IOException cannot) {
                throw new RuntimeException(cannot);
            }
        });
    }
}
